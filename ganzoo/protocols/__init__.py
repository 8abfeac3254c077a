"""The classes that plugin authors subclass, one kind of plugin a file."""
