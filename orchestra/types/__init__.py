"""The nouns: frozen, without I/O. Import from the modules, not from here."""
