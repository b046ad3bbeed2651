"""Whom a message is for: by name, by who spoke last, or by its subject. No model call."""
