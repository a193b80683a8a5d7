"""Leases, acknowledgements, retries and dead letters, on both engines."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from groundplan.core.clock import SystemClock
from groundplan.core.errors import Conflict, InvalidPayload, LeaseLost, NotFound
from groundplan.core.retry import Retry
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql
from groundplan.data.database.uow import Transaction
from groundplan.messaging.dead_letters.letters import DeadLetters
from groundplan.messaging.delivery.claims import SUSPECT_CRASHES, Claims
from groundplan.messaging.delivery.deliveries import CRASH_LIMIT, Deliveries, Failure
from groundplan.messaging.delivery.queues import Queues
from groundplan.messaging.delivery.stats import QueueStats
from groundplan.messaging.handlers import Handler, Handlers
from groundplan.messaging.message import Delivery, Envelope, Event, Job
from groundplan.messaging.outbox import Outbox

pytestmark = pytest.mark.anyio

AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Parcel(Event, frozen=True, kw_only=True):
    number: int
    to: str = ""


class Tidy(Job, frozen=True, kw_only=True):
    corner: str


async def _handle(ctx: object, message: object) -> None:
    """Never called here: what is tested is the table, not the handlers."""


HANDLERS = Handlers(
    [
        Handler("parcels.label", Parcel, _handle, retry=Retry(attempts=3)),
        Handler("parcels.weigh", Parcel, _handle, priority=5),
        Handler("house.tidy", Tidy, _handle, kind="job"),
    ]
)
ONE = {"parcels.label": 1}


class Queue:
    """The table with what tests do to it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.outbox = Outbox(database, HANDLERS, SystemClock())
        self.deliveries = Deliveries(database)
        self.dead_letters = DeadLetters(database, HANDLERS)
        self._claims: dict[float, Claims] = {}

    async def publish(self, count: int = 1, *, tenant_id: UUID | None = None) -> None:
        envelope = Envelope(tenant_id=tenant_id, user_id=None, request_id="r", traceparent="")
        async with self.database.transaction(None) as transaction:
            await self.outbox.subscribe(transaction)
            draft = self.outbox.draft(transaction, envelope)
            for number in range(count):
                draft.publish(Parcel(number=number))

    async def claim(self, slots: int = 10, *, known: dict[str, int] = ONE, lease: float = 60) -> list[Delivery]:
        paused = await Queues(self.database, SystemClock()).paused()
        claims = self._claims.setdefault(lease, Claims(self.database, lease=lease, worker="w"))
        return await claims.claim(known, slots, paused=paused)

    async def claim_suspect(self, *, lease: float = 60) -> Delivery | None:
        return await Claims(self.database, lease=lease, worker="w").claim_suspect(ONE)

    async def retry(self, delivery: Delivery, failed: Failure, *, delay: float) -> None:
        async with self.database.transaction(None) as transaction:
            await self.deliveries.retry(transaction, delivery, failed, delay=delay)

    async def bury(self, delivery: Delivery, failed: Failure, *, reason: str) -> None:
        async with self.database.transaction(None) as transaction:
            await self.deliveries.bury(transaction, delivery, failed, reason=reason)

    async def claim_one(self, *, lease: float = 60) -> Delivery:
        (delivery,) = await self.claim(1, lease=lease)
        return delivery

    async def rows(self, table: str = "deliveries") -> int:
        return int((await self.database.execute(Sql(f"SELECT COUNT(*) AS n FROM {table}")))[0].n)


@pytest.fixture
def queue(database: Database) -> Queue:
    return Queue(database)


def failure(error: str = "Broken") -> Failure:
    return Failure(
        started_at=AGO, ended_at=AGO, error=error, detail="it broke", stack="line 1", trace_id="t", worker="w"
    )


async def test_publishing_is_part_of_its_transaction(queue: Queue) -> None:
    envelope = Envelope(tenant_id=None, user_id=None, request_id="r", traceparent="")
    with pytest.raises(LookupError):
        async with queue.database.transaction(None) as transaction:
            await queue.outbox.subscribe(transaction)
            queue.outbox.draft(transaction, envelope).publish(Parcel(number=1))
            raise LookupError
    assert (await queue.rows("events"), await queue.rows()) == (0, 0)
    await queue.publish()
    assert (await queue.rows("events"), await queue.rows()) == (1, 2), "one delivery for each subscription"


async def test_subscriptions_of_other_releases_are_fed(queue: Queue) -> None:
    await queue.database.execute(
        Sql(
            "INSERT INTO subscriptions (event_name, handler, version, queue, priority) "
            "VALUES ('parcel', 'newer.release', 1, 'default', 100)"
        )
    )
    await queue.publish()
    assert await queue.claim(known={"newer.release": 1})


async def test_a_claim_takes_free_slots_of_known_handlers_and_versions(queue: Queue) -> None:
    await queue.publish(5)
    assert await queue.claim(known={"parcels.label": 0}) == []
    assert await queue.claim(known={"somebody.else": 9}) == []
    first = await queue.claim(3)
    assert [delivery.handler for delivery in first] == ["parcels.label"] * 3
    assert {delivery.attempt for delivery in first} == {1}
    assert len(await queue.claim(10)) == 2
    assert await queue.claim(10) == []


async def test_lower_priorities_run_first(queue: Queue) -> None:
    await queue.publish(2)
    claimed = await queue.claim(known={"parcels.label": 1, "parcels.weigh": 1})
    assert [delivery.priority for delivery in claimed] == [5, 5, 100, 100]


async def test_parallel_claims_share_nothing(queue: Queue) -> None:
    await queue.publish(40)
    batches = await asyncio.gather(*(queue.claim(7) for _ in range(8)))
    ids = [delivery.id for batch in batches for delivery in batch]
    assert len(ids) == len(set(ids)) == 40


async def test_a_delayed_job_waits(queue: Queue) -> None:
    envelope = Envelope(tenant_id=None, user_id=None, request_id="r", traceparent="")
    async with queue.database.transaction(None) as transaction:
        draft = queue.outbox.draft(transaction, envelope)
        draft.enqueue(Tidy(corner="now"))
        draft.enqueue(Tidy(corner="later"), delay=3600)
    claimed = await queue.claim(known={"house.tidy": 1})
    assert [delivery.payload.replace(" ", "") for delivery in claimed] == ['{"corner":"now"}']
    (row,) = await QueueStats(queue.database, HANDLERS).read()
    assert (row.scheduled, row.leased, row.ready) == (1, 1, 0)


async def test_what_no_handler_of_this_release_may_take_is_counted(queue: Queue) -> None:
    await queue.publish(2)
    await queue.database.execute(Sql("UPDATE deliveries SET version = 2 WHERE handler = 'parcels.weigh'"))
    envelope = Envelope(tenant_id=None, user_id=None, request_id="r", traceparent="")
    async with queue.database.transaction(None) as transaction:
        draft = queue.outbox.draft(transaction, envelope)
        draft.enqueue(Tidy(corner="now"))
        draft.enqueue(Tidy(corner="later"), delay=3600)
    await queue.database.execute(Sql("UPDATE deliveries SET handler = 'house.polish' WHERE handler = 'house.tidy'"))
    rows = await QueueStats(queue.database, HANDLERS).read()
    found = {row.handler: (row.ready, row.unclaimed) for row in rows}
    assert found == {"parcels.label": (2, 0), "parcels.weigh": (2, 2), "house.polish": (1, 1)}


async def test_a_late_acknowledgement_takes_its_effects_back(queue: Queue) -> None:
    await queue.publish()
    late = await queue.claim_one(lease=0)
    assert [handler for _, handler in await queue.deliveries.reap()] == ["parcels.label"]
    current = await queue.claim_one()
    effect = Sql("INSERT INTO done_markers (message_id, handler, at) VALUES (:id, 'effect', NOW)")
    with pytest.raises(LeaseLost):
        async with queue.database.transaction(None) as transaction:
            await transaction.execute(effect, id=late.id)
            queue.deliveries.acknowledge(transaction, late)
    assert await queue.rows("done_markers") == 0
    assert await queue.deliveries.acknowledge_batch([late]) == 0
    async with queue.database.transaction(None) as transaction:
        await transaction.execute(effect, id=current.id)
        queue.deliveries.acknowledge(transaction, current)
    assert await queue.rows("done_markers") == 1
    assert current.crashes == 1 and current.attempt == 1, "a crash is counted apart from attempts"


async def test_renewing_keeps_a_lease(queue: Queue) -> None:
    await queue.publish()
    held = await queue.claim_one(lease=0)
    assert await queue.deliveries.renew([held], lease=60) == {held.lease}
    assert await queue.deliveries.reap() == []
    assert await queue.deliveries.acknowledge_batch([held]) == 1
    assert await queue.deliveries.renew([held], lease=60) == set()


async def test_what_is_ready_again_before_the_place_of_the_last_claim_is_found(queue: Queue) -> None:
    await queue.publish(6)
    first = await queue.claim(2)
    await queue.deliveries.release(first[:1])
    assert {each.id for each in first[:1]} < {each.id for each in await queue.claim(10)}


async def test_in_a_long_queue_what_matters_more_is_passed_over_for_a_moment_only(queue: Queue) -> None:
    await queue.publish(2000)
    assert len(await queue.claim(1)) == 1
    late = (await queue.claim(1))[0]
    await queue.deliveries.release([late])
    await queue.database.execute(Sql("UPDATE deliveries SET priority = -1 WHERE id = :id"), id=late.id)
    for _ in range(1900):
        if (await queue.claim(1))[0].id == late.id:
            return
    pytest.fail("It was passed over as long as there was something else.")


async def test_of_two_holdings_of_one_delivery_the_newer_is_renewed(queue: Queue) -> None:
    await queue.publish()
    late = await queue.claim_one(lease=0)
    await queue.deliveries.reap()
    current = await queue.claim_one()
    for held in ([late, current], [current, late]):
        assert await queue.deliveries.renew(held, lease=60) == {current.lease}


async def test_a_retry_keeps_what_went_wrong(queue: Queue) -> None:
    await queue.publish()
    await queue.retry(await queue.claim_one(), failure("First"), delay=0)
    again = await queue.claim_one()
    assert again.attempt == 2
    await queue.retry(again, failure("Second"), delay=3600)
    assert await queue.claim() == []
    attempts = await queue.dead_letters.attempts(again.id)
    assert [(a.number, a.error, a.outcome) for a in attempts] == [(1, "First", "retry"), (2, "Second", "retry")]


async def test_release_counts_nothing(queue: Queue) -> None:
    await queue.publish()
    await queue.deliveries.release([await queue.claim_one()])
    again = await queue.claim_one()
    assert (again.attempt, again.crashes) == (1, 0)


async def test_what_kills_its_worker_again_and_again_is_buried(queue: Queue) -> None:
    await queue.publish()
    for crashes in range(CRASH_LIMIT):
        if crashes < SUSPECT_CRASHES:
            await queue.claim_one(lease=0)
        else:
            assert await queue.claim() == [], "a suspect is not handed out among others"
            assert await queue.claim_suspect(lease=0)
        await queue.deliveries.reap()
    assert await queue.claim_suspect() is None
    (dead,) = await queue.dead_letters.newest()
    assert (dead.reason, dead.crashes) == ("crashed", CRASH_LIMIT)


async def test_at_start_every_lease_of_a_dead_process_is_freed(queue: Queue) -> None:
    await queue.publish(3)
    await queue.claim(2)
    assert len(await queue.deliveries.reap(all_leases=True)) == 2
    assert len(await queue.claim()) == 3


async def test_a_paused_queue_hands_out_nothing(queue: Queue) -> None:
    await queue.publish()
    await queue.database.execute(Sql("INSERT INTO queues (name, paused) VALUES ('default', 1)"))
    assert await queue.claim() == []


async def _dead(queue: Queue) -> UUID:
    await queue.publish()
    delivery = await queue.claim_one()
    await queue.bury(delivery, failure(), reason="exhausted")
    return delivery.id


async def test_a_dead_letter_says_why(queue: Queue) -> None:
    dead_id = await _dead(queue)
    dead = await queue.dead_letters.get(dead_id)
    assert (dead.reason, dead.error, dead.detail, dead.stack) == ("exhausted", "Broken", "it broke", "line 1")
    assert dead.payload == {"number": 0, "to": ""}
    assert [attempt.outcome for attempt in await queue.dead_letters.attempts(dead_id)] == ["dead"]
    assert await queue.dead_letters.count() == 1
    assert await queue.dead_letters.newest(handler="other") == []
    assert [each.id for each in await queue.dead_letters.newest(handler="parcels.label", reason="exhausted")] == [
        dead_id
    ]
    with pytest.raises(NotFound):
        await queue.dead_letters.get(uuid4())


async def test_an_edit_is_checked_and_the_first_payload_kept(queue: Queue) -> None:
    dead_id = await _dead(queue)
    wrongs: list[Any] = [{"number": "x"}, {}, {"number": 1, "surprise": 1}, []]
    for wrong in wrongs:
        with pytest.raises(InvalidPayload):
            async with queue.database.transaction(None) as transaction:
                await queue.dead_letters.edit(transaction, dead_id, wrong, by="me")
    for number in (7, 8):
        async with queue.database.transaction(None) as transaction:
            await queue.dead_letters.edit(transaction, dead_id, {"number": number}, by="me")
    dead = await queue.dead_letters.get(dead_id)
    assert (dead.payload, dead.original_payload, dead.edited_by) == ({"number": 8}, {"number": 0, "to": ""}, "me")


async def test_two_replays_at_once_are_one(queue: Queue) -> None:
    dead_id = await _dead(queue)

    async def replay() -> bool:
        try:
            async with queue.database.transaction(None) as transaction:
                await queue.dead_letters.replay(transaction, dead_id)
        except Conflict:
            return False
        return True

    assert sorted(await asyncio.gather(*(replay() for _ in range(5)))) == [False] * 4 + [True]
    again = await queue.claim_one()
    assert (again.id, again.attempt) == (dead_id, 1), "it goes on under its own id"
    assert await queue.dead_letters.count() == 0


async def test_a_replay_waits_for_the_edit_before_it(queue: Queue) -> None:
    dead_id = await _dead(queue)
    edited, replaying = asyncio.Event(), asyncio.Event()

    async def replay() -> None:
        await edited.wait()
        replaying.set()
        async with queue.database.transaction(None) as transaction:
            await queue.dead_letters.replay(transaction, dead_id)

    async def edit() -> None:
        async with queue.database.transaction(None) as transaction:
            await queue.dead_letters.edit(transaction, dead_id, {"number": 8}, by="me")
            edited.set()
            await replaying.wait()
            await asyncio.sleep(0.05)

    await asyncio.gather(edit(), replay())
    assert msgspec.json.decode((await queue.claim_one()).payload) == {"number": 8}


async def test_of_a_drop_and_a_replay_at_once_one_wins(queue: Queue) -> None:
    dead_id = await _dead(queue)
    other = await queue.rows()

    async def attempt(act: Callable[[Transaction, UUID], Awaitable[None]]) -> bool:
        try:
            async with queue.database.transaction(None) as transaction:
                await act(transaction, dead_id)
        except Conflict:
            return False
        return True

    dropped, replayed = await asyncio.gather(attempt(queue.dead_letters.drop), attempt(queue.dead_letters.replay))
    assert dropped is not replayed
    assert await queue.rows() == other + int(replayed)


async def test_a_dropped_one_is_gone(queue: Queue) -> None:
    dead_id = await _dead(queue)
    async with queue.database.transaction(None) as transaction:
        await queue.dead_letters.drop(transaction, dead_id)
    with pytest.raises(Conflict):
        async with queue.database.transaction(None) as transaction:
            await queue.dead_letters.drop(transaction, dead_id)
    assert await queue.rows("dead_letters") == 0
