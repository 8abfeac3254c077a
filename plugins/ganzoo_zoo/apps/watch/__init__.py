"""Watches a run from its folder alone, while another process trains it, or afterwards."""
