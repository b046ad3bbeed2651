"""Thumbs that say whose answer they are on."""

import json

import sqlalchemy as sa
from alembic import op

from orchestra.tables import feedbacks, steps

revision = "thumbs_by_persona"
down_revision = "personas_in_sql"


def upgrade() -> None:
    """Add the column to what an earlier checkout made, and fill it from the answers."""
    connection = op.get_bind()
    if "persona_id" in {one["name"] for one in sa.inspect(connection).get_columns("feedbacks")}:
        return
    op.add_column("feedbacks", sa.Column("persona_id", sa.String(40)))
    for index in feedbacks.indexes:
        if "persona_id" in index.columns:
            index.create(connection)
    rated = sa.select(feedbacks.c.id, steps.c.details).join(
        steps, steps.c.id == feedbacks.c.step_id
    )
    for one in connection.execute(rated).all():
        persona_id = (json.loads(one.details).get("metadata") or {}).get("persona")
        own = feedbacks.update().where(feedbacks.c.id == one.id)
        connection.execute(own.values(persona_id=persona_id))
