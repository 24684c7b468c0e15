"""One thin module per framework: each imports regmax and that framework alone; nothing below imports it."""
