"""Small real inputs; README.md beside this file says where they come from."""
