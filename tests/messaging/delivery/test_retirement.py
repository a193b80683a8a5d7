"""A handler that no release has any more leaves nothing behind that grows."""

import pytest

from groundplan.core.errors import Conflict, NotFound
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql
from groundplan.messaging.delivery.retirement import retire
from groundplan.messaging.handlers import Handlers
from groundplan.messaging.message import Envelope
from tests.messaging.delivery.test_deliveries import HANDLERS, Parcel, Queue

pytestmark = pytest.mark.anyio

NEXT_RELEASE = Handlers([handler for handler in HANDLERS if handler.name != "parcels.label"])
REASONS = Sql("SELECT handler, reason FROM dead_letters")


@pytest.fixture
def queue(database: Database) -> Queue:
    return Queue(database)


async def _retire(queue: Queue, name: str, handlers: Handlers = NEXT_RELEASE) -> int:
    async with queue.database.transaction(None) as transaction:
        return await retire(transaction, handlers, name)


async def test_what_waited_is_kept_and_nothing_more_is_made(queue: Queue) -> None:
    await queue.publish(2)
    assert await _retire(queue, "parcels.label") == 2
    assert await queue.claim() == []
    dead = await queue.database.execute(REASONS)
    assert [(row.handler, row.reason) for row in dead] == [("parcels.label", "retired")] * 2
    before = await queue.rows("deliveries")
    async with queue.database.transaction(None) as transaction:
        draft = queue.outbox.draft(transaction, Envelope(tenant_id=None, user_id=None, request_id="r", traceparent=""))
        draft.publish(Parcel(number=3))
    assert await queue.rows("deliveries") == before + 1, "for the handler that is left"


async def test_it_takes_a_release_without_the_handler_and_nobody_at_work(queue: Queue) -> None:
    await queue.publish()
    with pytest.raises(Conflict, match="This release has"):
        await _retire(queue, "parcels.label", HANDLERS)
    await queue.claim_one()
    with pytest.raises(Conflict, match="at this moment"):
        await _retire(queue, "parcels.label")
    with pytest.raises(NotFound):
        await _retire(queue, "parcels.lable")
