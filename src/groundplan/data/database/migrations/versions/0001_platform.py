"""The platform's tables: identity, audit, idempotency, events and deliveries, flags."""

from typing import Any

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, PrimaryKeyConstraint, UniqueConstraint, text
from sqlalchemy import Text as SqlText
from sqlalchemy.dialects.postgresql import JSONB

from groundplan.data.database.types import Id, Instant

revision = "0001"
down_revision = None

_Json = SqlText().with_variant(JSONB(), "postgresql")
_Serial = BigInteger().with_variant(Integer(), "sqlite")


def _text(name: str, *, nullable: bool = False, primary_key: bool = False, unique: bool = False) -> Column[str]:
    return Column(name, SqlText, nullable=nullable, primary_key=primary_key, unique=unique or None)


def _message() -> list[Column[Any]]:
    """What a message carries wherever it is: in a delivery or a dead letter."""
    return [
        Column("id", Id, primary_key=True),
        Column("event_id", Id),
        _text("kind"),
        _text("name"),
        _text("handler"),
        Column("version", Integer, nullable=False),
        _text("queue"),
        Column("priority", Integer, nullable=False),
        _text("partition_key", nullable=True),
        _text("unique_key", nullable=True),
        Column("tenant_id", Id),
        Column("user_id", Id),
        _text("request_id"),
        _text("traceparent"),
        Column("occurred_at", Instant, nullable=False),
        Column("payload", _Json, nullable=False),
        Column("attempt", Integer, nullable=False),
        Column("crashes", Integer, nullable=False),
    ]


def upgrade() -> None:
    _identity()
    _requests()
    _messages()
    op.create_table(
        "flag_overrides",
        _text("name", primary_key=True),
        _text("value"),
        _text("set_by"),
        Column("set_at", Instant, nullable=False),
    )


def _identity() -> None:
    op.create_table(
        "tenants",
        Column("id", Id, primary_key=True),
        _text("slug", unique=True),
        _text("name"),
        _text("host", unique=True),
        _text("brand"),
        Column("created_at", Instant, nullable=False),
    )
    op.create_table(
        "users",
        Column("id", Id, primary_key=True),
        Column("tenant_id", Id, nullable=False),
        _text("email"),
        _text("name"),
        _text("password_hash"),
        _text("roles"),
        Column("created_at", Instant, nullable=False),
        UniqueConstraint("tenant_id", "email"),
    )
    op.create_table(
        "sessions",
        _text("token_hash", primary_key=True),
        Column("user_id", Id, nullable=False),
        Column("tenant_id", Id, nullable=False),
        _text("kind"),
        Column("created_at", Instant, nullable=False),
        Column("expires_at", Instant, nullable=False),
    )
    op.create_index("sessions_expires_at", "sessions", ["expires_at"])


def _requests() -> None:
    op.create_table(
        "audit_log",
        Column("id", Id, primary_key=True),
        Column("at", Instant, nullable=False),
        Column("tenant_id", Id),
        _text("actor"),
        _text("action"),
        _text("subject"),
        Column("detail", _Json, nullable=False),
        _text("request_id"),
        _text("trace_id"),
    )
    op.create_table(
        "idempotency",
        _text("scope"),
        _text("key"),
        _text("fingerprint"),
        Column("status", Integer, nullable=False),
        _text("headers"),
        Column("body", LargeBinary, nullable=False),
        Column("created_at", Instant, nullable=False),
        PrimaryKeyConstraint("scope", "key"),
    )
    op.create_index("idempotency_created_at", "idempotency", ["created_at"])


def _messages() -> None:
    op.create_table(
        "events",
        Column("position", _Serial, primary_key=True, autoincrement=True),
        Column("id", Id, nullable=False, unique=True),
        _text("name"),
        Column("version", Integer, nullable=False),
        Column("tenant_id", Id),
        Column("user_id", Id),
        _text("request_id"),
        _text("traceparent"),
        _text("partition_key", nullable=True),
        Column("occurred_at", Instant, nullable=False),
        Column("payload", _Json, nullable=False),
    )
    op.create_table(
        "subscriptions",
        _text("event_name"),
        _text("handler"),
        Column("version", Integer, nullable=False),
        _text("queue"),
        Column("priority", Integer, nullable=False),
        PrimaryKeyConstraint("event_name", "handler"),
    )
    op.create_table(
        "deliveries",
        *_message(),
        _text("state"),
        Column("run_at", Instant, nullable=False),
        Column("lease_token", Id),
        Column("lease_until", Instant),
        _text("worker", nullable=True),
    )
    op.create_table(
        "dead_letters",
        *_message(),
        _text("reason"),
        _text("error"),
        _text("detail"),
        _text("stack"),
        Column("died_at", Instant, nullable=False),
        Column("original_payload", _Json),
        _text("edited_by", nullable=True),
        Column("edited_at", Instant),
    )
    op.create_index("dead_letters_died_at", "dead_letters", ["died_at"])
    op.create_table(
        "attempts",
        Column("delivery_id", Id),
        Column("number", Integer),
        Column("started_at", Instant, nullable=False),
        Column("ended_at", Instant, nullable=False),
        _text("outcome"),
        _text("error"),
        _text("detail"),
        _text("stack"),
        _text("trace_id"),
        _text("worker"),
        PrimaryKeyConstraint("delivery_id", "number"),
    )
    op.create_table(
        "done_markers",
        Column("message_id", Id),
        _text("handler"),
        Column("at", Instant, nullable=False),
        PrimaryKeyConstraint("message_id", "handler"),
    )
    op.create_table("queues", _text("name", primary_key=True), Column("paused", Integer, nullable=False))
    _index_deliveries()


def _index_deliveries() -> None:
    ready, leased = text("state = 'ready'"), text("state = 'leased'")
    op.create_index(
        "deliveries_ready", "deliveries", ["priority", "run_at"], postgresql_where=ready, sqlite_where=ready
    )
    op.create_index("deliveries_leased", "deliveries", ["lease_until"], postgresql_where=leased, sqlite_where=leased)
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE events ADD COLUMN transaction xid8 NOT NULL DEFAULT pg_current_xact_id()")
        # The table is small and every row of it changes twice: vacuum by churn, and leave room for in-page updates.
        op.execute(
            "ALTER TABLE deliveries SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, "
            "autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0)"
        )


def downgrade() -> None:
    for table in (
        "flag_overrides",
        "queues",
        "done_markers",
        "attempts",
        "dead_letters",
        "deliveries",
        "subscriptions",
        "events",
        "idempotency",
        "audit_log",
        "sessions",
        "users",
        "tenants",
    ):
        op.drop_table(table)
