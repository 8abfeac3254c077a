"""Datasets: embedded digits, toy sets, published sets, and your own folders and zips."""
