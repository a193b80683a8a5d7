"""What a published event becomes, on both engines: a row of the log, and a delivery for every subscription."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from groundplan.core.clock import SystemClock
from groundplan.core.context import changed
from groundplan.core.errors import Invalid
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql, as_instant, as_uuid
from groundplan.messaging.handlers import Handler, Handlers
from groundplan.messaging.message import Envelope, Event
from groundplan.messaging.outbox import Outbox

pytestmark = pytest.mark.anyio

ENVELOPE = Envelope(tenant_id=UUID(int=1), user_id=UUID(int=2), request_id="r", traceparent="")
COLUMNS = """name, version, tenant_id, user_id, request_id, traceparent, partition_key, occurred_at,
    CAST(payload AS text) AS payload"""
LOGGED = Sql(f"SELECT id, {COLUMNS} FROM events ORDER BY position")
DELIVERED = Sql(f"SELECT event_id AS id, {COLUMNS}, handler, direct FROM deliveries ORDER BY handler, partition_key")

SUBSCRIBED = Sql("""INSERT INTO subscriptions (event_name, handler, version, queue, priority)
    VALUES (:name, 'elsewhere', 1, 'default', 100)""")


class Sown(Event, frozen=True, kw_only=True):
    what: str


class Grown(Event, frozen=True, kw_only=True):
    height: int


async def _handle(ctx: object, message: object) -> None:
    """Never called here."""


HANDLERS = Handlers([Handler("garden.water", Sown, _handle), Handler("garden.weed", Sown, _handle)])


def _common(row: Any) -> tuple[Any, ...]:
    ids = as_uuid(row.id), as_uuid(row.tenant_id), as_uuid(row.user_id)
    return (
        *ids,
        row.name,
        row.version,
        row.request_id,
        row.traceparent,
        row.partition_key,
        as_instant(row.occurred_at),
    )


async def test_events_of_one_transaction_are_logged_and_delivered_whole(database: Database) -> None:
    outbox = Outbox(database, HANDLERS, SystemClock())
    before = datetime.now(UTC)
    with changed(request_id="r") as context:
        async with database.transaction(None) as transaction:
            await outbox.subscribe(transaction)
            draft = outbox.draft(transaction, ENVELOPE)
            sown = [draft.publish(Sown(what="'beans'\\"), partition_key=key) for key in ("bed 1", "bed 2")]
            grown = draft.publish(Grown(height=3))
    logged = await database.execute(LOGGED)
    assert [as_uuid(row.id) for row in logged] == [*sown, grown]
    assert {as_instant(row.occurred_at) >= before for row in logged} == {True}
    (outer,) = {span.span_id for span in context.spans if span.component == "Outbox"}
    assert {row.traceparent for row in logged} == {f"00-{context.trace_id}-{outer}-01"}
    delivered = await database.execute(DELIVERED)
    assert [row.handler for row in delivered] == ["garden.water"] * 2 + ["garden.weed"] * 2
    assert [_common(row) for row in delivered] == [_common(row) for row in logged[:2]] * 2
    assert {row.direct for row in delivered} == {1}, "what has a key is handed on in order"
    assert {row.payload.replace(" ", "") for row in delivered} == {'{"what":"\'beans\'\\\\"}'}


async def test_deliveries_are_in_the_order_in_which_their_events_were_published(database: Database) -> None:
    outbox = Outbox(database, HANDLERS, SystemClock())
    others = [{"name": f"event.{number}"} for number in range(300)]
    async with database.transaction(None) as transaction:
        await outbox.subscribe(transaction)
        await transaction.execute_many(SUBSCRIBED, others)
        draft = outbox.draft(transaction, ENVELOPE)
        published = [draft.publish(Sown(what=f"{number}"), partition_key="bed") for number in range(20)]
    order = "position" if database.dialect == "postgresql" else "rowid"
    rows = await database.execute(
        Sql(f"SELECT event_id FROM deliveries WHERE handler = 'garden.weed' ORDER BY {order}")
    )
    assert [as_uuid(row.event_id) for row in rows] == published


@pytest.mark.parametrize("key", ["a\x00b", "\ud800"])
async def test_a_key_that_no_database_stores_is_refused(database: Database, key: str) -> None:
    outbox = Outbox(database, HANDLERS, SystemClock())
    with pytest.raises(Invalid):
        async with database.transaction(None) as transaction:
            outbox.draft(transaction, ENVELOPE).publish(Grown(height=1), partition_key=key)
    assert await database.execute(LOGGED) == []
