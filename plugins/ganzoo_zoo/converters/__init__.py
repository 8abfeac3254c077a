"""Converters in the box, each a file: what other programs wrote becomes what ganzoo loads."""
