"""What testers guessed and voted in the lab."""

from alembic import op

from orchestra.tables import lab_comparisons, lab_trials

revision = "lab"
down_revision = "tools"


def upgrade() -> None:
    """Create what an earlier checkout does not have."""
    for table in (lab_trials, lab_comparisons):
        table.create(op.get_bind(), checkfirst=True)
