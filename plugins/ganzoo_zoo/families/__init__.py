"""Architectures, a folder for each family."""
