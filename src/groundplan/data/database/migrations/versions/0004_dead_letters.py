"""Dead letters by what failed: groups and filters are read from the index alone, however long the stacks are."""

from alembic import op

revision = "0004"
down_revision = "0003"

_COLUMNS = ["handler", "error", "reason", "tenant_id", "died_at"]


def upgrade() -> None:
    op.create_index("dead_letters_failure", "dead_letters", _COLUMNS)


def downgrade() -> None:
    op.drop_index("dead_letters_failure", "dead_letters")
