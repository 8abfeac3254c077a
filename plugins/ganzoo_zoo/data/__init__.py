"""Datasets: embedded digits, toy sets, published sets, and people's own folders and zips."""
