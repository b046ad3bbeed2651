"""Run by Alembic: applies the migrations on the connection that `migrate` hands over."""

from alembic import context

from orchestra.tables import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
