"""One thin module per framework; each imports regmax and that framework alone, and nothing imports it at module level."""
