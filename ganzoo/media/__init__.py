"""Sample pictures and movies."""
