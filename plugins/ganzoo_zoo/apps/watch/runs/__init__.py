"""Reading runs from their folders while they grow."""
