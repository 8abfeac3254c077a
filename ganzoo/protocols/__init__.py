"""The base classes of plugins, one file for each kind."""
