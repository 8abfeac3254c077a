"""Importing the weights of other programs."""
