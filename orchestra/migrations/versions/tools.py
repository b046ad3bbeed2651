"""What the tools of crews keep: things to do, customers, files."""

from alembic import op

from orchestra.tables import artifacts, attachments, contact_notes, contacts, deals, work_items

revision = "tools"
down_revision = "crews"


def upgrade() -> None:
    """Create what an earlier checkout does not have."""
    for table in (work_items, contacts, deals, contact_notes, artifacts, attachments):
        table.create(op.get_bind(), checkfirst=True)
