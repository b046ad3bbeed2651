"""Memories without the digest that nothing reads; their versions are counted from an index."""

import sqlalchemy as sa
from alembic import op

from orchestra.tables import memories

revision = "lean_memories"
down_revision = "first_light"


def upgrade() -> None:
    """Change what an earlier checkout made; a new database has it so from the beginning."""
    connection = op.get_bind()
    if "digest" not in {one["name"] for one in sa.inspect(connection).get_columns("memories")}:
        return
    op.drop_index("memories_by_digest", "memories")
    op.drop_index("memories_by_owner", "memories")
    connection.execute(sa.text("ALTER TABLE memories DROP COLUMN digest"))
    for index in memories.indexes:
        if index.name == "memories_by_owner":
            index.create(connection)
