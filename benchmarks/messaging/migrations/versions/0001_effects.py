"""The table that the jobs write to, the same for every contender."""

from alembic import op

from benchmarks.messaging.effects import POSTGRESQL, SQLITE

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute(POSTGRESQL if op.get_context().dialect.name == "postgresql" else SQLITE)


def downgrade() -> None:
    op.drop_table("effects")
