"""The architectures that come with ganzoo, a folder for each family."""
