"""The processes that train runs for the page."""
