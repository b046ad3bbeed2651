"""Tasks of crews, what happened to them, and who works on them."""

from alembic import op

from orchestra.tables import task_events, tasks, workers

revision = "crews"
down_revision = "thumbs_by_persona"


def upgrade() -> None:
    """Create what an earlier checkout does not have."""
    for table in (tasks, task_events, workers):
        table.create(op.get_bind(), checkfirst=True)
