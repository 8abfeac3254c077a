"""Model folders: finding, checking, writing, loading and sampling models."""
