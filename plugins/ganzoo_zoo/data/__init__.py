"""Datasets: embedded digits, points, published sets, and your own folders and zips."""
