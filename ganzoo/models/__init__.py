"""Model folders: found, checked, written, loaded and sampled."""
