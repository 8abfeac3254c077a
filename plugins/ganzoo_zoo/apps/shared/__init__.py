"""Code and styles that several applications share."""
