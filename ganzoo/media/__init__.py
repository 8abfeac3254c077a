"""Pictures and movies of samples."""
