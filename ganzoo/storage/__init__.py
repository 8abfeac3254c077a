"""Files on disk: safe writing, checked reading, caching and memory mapping."""
