"""Personas in the database, every version of each, and what administrators did."""

from alembic import op

from orchestra.tables import audit, persona_versions, personas

revision = "personas_in_sql"
down_revision = "lean_memories"


def upgrade() -> None:
    """Create what an earlier checkout does not have."""
    for table in (personas, persona_versions, audit):
        table.create(op.get_bind(), checkfirst=True)
