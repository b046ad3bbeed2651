"""Which memory took the place of which: a thumb on the older answer means the newer memory."""

from alembic import op

from orchestra.tables import merged_memories

revision = "merged_memories"
down_revision = "lab_revisions"


def upgrade() -> None:
    """Create what an earlier checkout does not have."""
    merged_memories.create(op.get_bind(), checkfirst=True)
