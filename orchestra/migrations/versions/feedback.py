"""Decisions that people rejected, and what a thumb was on."""

import sqlalchemy as sa
from alembic import op

revision = "feedback"
down_revision = "lab"

_NEW = (
    ("memories", sa.Column("rejected", sa.Boolean, nullable=False, server_default=sa.false())),
    ("feedbacks", sa.Column("domain", sa.String(80))),
    ("feedbacks", sa.Column("revision", sa.String(12))),
    ("feedbacks", sa.Column("memory_id", sa.String(36))),
    ("feedbacks", sa.Column("answer_id", sa.String(36))),
)


def upgrade() -> None:
    """Add the columns to what an earlier checkout made."""
    look = sa.inspect(op.get_bind())
    for table, column in _NEW:
        if column.name not in {one["name"] for one in look.get_columns(table)}:
            op.add_column(table, column)
