"""The components and applications that ship with ganzoo, each registered by entry point."""
