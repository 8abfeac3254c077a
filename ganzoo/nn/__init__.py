"""Building blocks for networks."""
