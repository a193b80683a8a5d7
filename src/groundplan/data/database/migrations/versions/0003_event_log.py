"""The event log is read in commit order, replayed to one handler, and erased where a person asks for it."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text

from groundplan.data.database.types import Id, Instant

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("events", Column("erased_at", Instant))
    if op.get_context().dialect.name == "postgresql":
        op.create_index("events_commit_order", "events", ["transaction", "position"])
    op.create_table(
        "replays",
        Column("id", Id, primary_key=True),
        Column("handler", Text, nullable=False),
        Column("since", Instant, nullable=False),
        Column("until", Instant, nullable=False),
        Column("tenant_id", Id),
        Column("at_transaction", BigInteger, nullable=False),
        Column("at_position", BigInteger, nullable=False),
        Column("end_transaction", BigInteger, nullable=False),
        Column("end_position", BigInteger, nullable=False),
        Column("made", Integer, nullable=False),
        Column("started_by", Text, nullable=False),
        Column("started_at", Instant, nullable=False),
        Column("ended_at", Instant),
    )


def downgrade() -> None:
    op.drop_table("replays")
    if op.get_context().dialect.name == "postgresql":
        op.drop_index("events_commit_order")
    op.drop_column("events", "erased_at")
