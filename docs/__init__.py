"""Pictures and longer texts."""
