"""What was sent, what the handlers did, and which ticks fired. Nothing is unique here: a double must be seen."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table("sent", sa.Column("number", sa.BigInteger))
    op.create_table(
        "effects",
        sa.Column("number", sa.BigInteger),
        sa.Column("handler", sa.Text),
        sa.Column("release", sa.Text),
        sa.Column("worker", sa.BigInteger),
    )
    op.create_table("ticks", sa.Column("at", sa.Text))


def downgrade() -> None:
    for table in ("ticks", "effects", "sent"):
        op.drop_table(table)
