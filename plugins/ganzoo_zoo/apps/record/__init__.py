"""Records: what runs of one configuration gave, and at what cost, in a file that tables are of."""
