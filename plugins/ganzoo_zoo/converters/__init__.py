"""Converters of the weights that other programs have published."""
