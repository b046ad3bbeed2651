"""Alembic's migrations of the house's tables; applied when the database is opened."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql, sqlite

from orchestra.migrations.versions.first_light import POSTGRES_WORDS, SQLITE_WORDS
from orchestra.tables import tables


def migrate(connection: sa.Connection) -> None:
    """Bring the tables up to date, in the transaction at hand."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def ddl(dialect_name: str) -> list[str]:
    """The statements that make all tables.

    Args:
        dialect_name: 'sqlite' or 'postgresql'.
    """
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[dialect_name].dialect()
    made: list[sa.schema.ExecutableDDLElement] = []
    for table in tables.sorted_tables:
        made.append(sa.schema.CreateTable(table))
        made += [sa.schema.CreateIndex(index) for index in sorted(table.indexes, key=str)]
    words = SQLITE_WORDS if dialect_name == "sqlite" else POSTGRES_WORDS
    head = ScriptDirectory(str(Path(__file__).parent)).get_current_head()
    noted = (
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
        f"INSERT INTO alembic_version (version_num) VALUES ('{head}')",  # noqa: S608  # our own word
    )
    return [*(str(one.compile(dialect=dialect)) for one in made), *words, *noted]
