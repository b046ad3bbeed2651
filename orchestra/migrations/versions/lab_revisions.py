"""Which revision of a persona was guessed and voted on."""

import sqlalchemy as sa
from alembic import op

revision = "lab_revisions"
down_revision = "feedback"

_NEW = (
    ("lab_trials", sa.Column("revision", sa.String(12))),
    ("lab_comparisons", sa.Column("revisions", sa.Text)),
)


def upgrade() -> None:
    """Add the columns to what an earlier checkout made."""
    look = sa.inspect(op.get_bind())
    for table, column in _NEW:
        if column.name not in {one["name"] for one in look.get_columns(table)}:
            op.add_column(table, column)
