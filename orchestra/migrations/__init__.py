"""Alembic's migrations of the house's tables; applied when the database is opened."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config


def migrate(connection: sa.Connection) -> None:
    """Bring the tables up to date, in the transaction at hand."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
