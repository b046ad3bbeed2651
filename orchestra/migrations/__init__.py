"""Alembic's migrations of the house's tables; applied when the database is opened."""
