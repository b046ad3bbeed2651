"""The tables of the first release, and the full text index of memories."""

import sqlalchemy as sa
from alembic import op

from orchestra.tables import tables

revision = "first_light"
down_revision = None

SQLITE_WORDS = (
    """CREATE VIRTUAL TABLE memory_words USING fts5(
        scope, task, decision, day, content='memories', content_rowid='number',
        tokenize='porter unicode61 remove_diacritics 2')""",
    """CREATE TRIGGER memory_words_added AFTER INSERT ON memories BEGIN
        INSERT INTO memory_words(rowid, scope, task, decision, day)
        VALUES (new.number, new.scope, new.task, new.decision, new.day); END""",
    """CREATE TRIGGER memory_words_removed AFTER DELETE ON memories BEGIN
        INSERT INTO memory_words(memory_words, rowid, scope, task, decision, day)
        VALUES ('delete', old.number, old.scope, old.task, old.decision, old.day); END""",
)

POSTGRES_WORDS = (
    """ALTER TABLE memories ADD COLUMN words tsvector GENERATED ALWAYS AS
        (to_tsvector('english', task || ' ' || decision || ' ' || day)) STORED""",
    "CREATE INDEX memories_by_words ON memories USING gin (words)",
)


def upgrade() -> None:
    """Create everything."""
    connection = op.get_bind()
    tables.create_all(connection)
    sqlite = connection.dialect.name == "sqlite"
    for statement in SQLITE_WORDS if sqlite else POSTGRES_WORDS:
        connection.execute(sa.text(statement))
