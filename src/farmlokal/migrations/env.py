"""How Alembic runs a version: on the connection it was handed, or as SQL text for a named dialect."""

from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    context.configure(dialect_name=context.config.get_main_option("dialect"), literal_binds=True)
else:
    context.configure(connection=connection)

with context.begin_transaction():
    context.run_migrations()
