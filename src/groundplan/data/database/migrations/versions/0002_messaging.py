"""Messaging in full: order per key, unique jobs, limits, schedules, progress, and what a broker may not hand out."""

from alembic import op
from sqlalchemy import BigInteger, Column, Float, Integer, PrimaryKeyConstraint, text
from sqlalchemy import Text as SqlText

from groundplan.data.database.types import Id, Instant

revision = "0002"
down_revision = "0001"


def _text(name: str, *, nullable: bool = False, primary_key: bool = False) -> Column[str]:
    return Column(name, SqlText, nullable=nullable, primary_key=primary_key)


def upgrade() -> None:
    for table in ("deliveries", "subscriptions"):
        op.add_column(table, Column("direct", Integer, nullable=False, server_default="0"))
    if op.get_context().dialect.name == "postgresql":  # SQLite has its rowid
        op.execute("ALTER TABLE deliveries ADD COLUMN position bigserial")
    _index("deliveries_unique", ["handler", "unique_key"], "unique_key IS NOT NULL", unique=True)
    _index("deliveries_partition", ["handler", "partition_key"], "partition_key IS NOT NULL")
    _index("deliveries_suspect", ["run_at"], "state = 'ready' AND crashes > 1")
    _index("deliveries_direct", ["handler", "priority", "run_at"], "state = 'ready' AND direct = 1")
    op.create_table(
        "unique_claims",
        _text("handler"),
        _text("key"),
        Column("until", Instant, nullable=False),
        PrimaryKeyConstraint("handler", "key"),
    )
    op.create_table(
        "handler_limits",
        _text("handler", primary_key=True),
        Column("tokens", Float, nullable=False),
        Column("at", Instant, nullable=False),
    )
    op.create_table(
        "schedules",
        _text("name", primary_key=True),
        _text("cron"),
        Column("next_at", Instant, nullable=False),
        Column("last_at", Instant),
    )
    op.create_table(
        "progress",
        Column("message_id", Id, primary_key=True),
        _text("handler"),
        Column("tenant_id", Id),
        Column("user_id", Id),
        Column("done", BigInteger, nullable=False),
        Column("total", BigInteger),
        _text("note"),
        _text("state"),
        Column("started_at", Instant, nullable=False),
        Column("at", Instant, nullable=False),
    )
    op.create_index("progress_at", "progress", ["at"])
    op.create_index("done_markers_at", "done_markers", ["at"])


def _index(name: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = text(where)
    op.create_index(name, "deliveries", columns, unique=unique, postgresql_where=condition, sqlite_where=condition)


def downgrade() -> None:
    op.drop_index("done_markers_at", "done_markers")
    for table in ("progress", "schedules", "handler_limits", "unique_claims"):
        op.drop_table(table)
    for index in ("direct", "suspect", "partition", "unique"):
        op.drop_index(f"deliveries_{index}", "deliveries")
    if op.get_context().dialect.name == "postgresql":
        op.drop_column("deliveries", "position")
    for table in ("subscriptions", "deliveries"):
        op.drop_column(table, "direct")
