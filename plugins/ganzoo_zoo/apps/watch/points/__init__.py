"""Points in the plane: what a frame of them holds, and how it is recorded and read."""
