"""Converters: other programs' files to models of the architectures in the box."""
