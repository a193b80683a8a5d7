"""Many dead letters: found, grouped, replayed at a rate, dropped and pruned, on both engines."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from groundplan.core.errors import Conflict, Invalid
from groundplan.core.moments import moment
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql, as_instant, as_uuid
from groundplan.data.database.uow import Transaction
from groundplan.messaging.dead_letters import groups as dead_letter_groups
from groundplan.messaging.dead_letters.filter import DeadLetterFilter, filter_of
from groundplan.messaging.dead_letters.groups import DeadLetterGroups, Done
from groundplan.testing.app import until
from tests.messaging.delivery.test_deliveries import Queue, failure

pytestmark = pytest.mark.anyio

EVERY = DeadLetterFilter()
KNOWN = {"parcels.label": 1, "parcels.weigh": 1}
NOON = datetime(2026, 5, 31, 12, 0, tzinfo=UTC)
DIED = Sql("UPDATE dead_letters SET died_at = :at WHERE id = :id")
TENANT = Sql("""INSERT INTO tenants (id, slug, name, host, brand, created_at)
    VALUES (:id, :slug, :slug, :slug, '', NOW)""")
BEHIND_A_LOCK = Sql("""SELECT COUNT(*) AS n FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'""")
DUE = Sql("SELECT id, run_at, occurred_at, attempt, CAST(payload AS TEXT) AS payload FROM deliveries ORDER BY run_at")


class Letters(Queue):
    """The table of dead letters, and messages that give up."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.groups = DeadLetterGroups(database)

    async def give_up(
        self,
        count: int = 1,
        *,
        handler: str = "parcels.label",
        error: str = "Broken",
        reason: str = "exhausted",
        tenant_id: UUID | None = None,
        at: datetime | None = None,
        slots: int | None = None,
    ) -> list[UUID]:
        """Messages that a worker took and gave up; what other handlers wait for is taken away."""
        await self.publish(count, tenant_id=tenant_id)
        claimed = await self.claim(slots or count * 2, known=KNOWN)
        mine = [delivery for delivery in claimed if delivery.handler == handler]
        await self.deliveries.acknowledge_batch([each for each in claimed if each not in mine])
        for delivery in mine:
            await self.bury(delivery, failure(error), reason=reason)
            if at:
                await self.database.execute(DIED, id=delivery.id, at=at)
        return [delivery.id for delivery in mine]

    async def tenant(self, slug: str) -> UUID:
        tenant_id = uuid4()
        await self.database.execute(TENANT, id=tenant_id, slug=slug)
        return tenant_id

    async def found(self, which: DeadLetterFilter = EVERY, **options: Any) -> list[UUID]:
        return [dead.id for dead in (await self.dead_letters.page(which, **options)).items]

    async def due(self) -> list[Any]:
        return await self.database.execute(DUE)

    async def replay(self, which: DeadLetterFilter, *, rate: float = 100, delay: float = 0) -> Done:
        async with self.database.transaction(None) as transaction:
            return await self.groups.replay(transaction, which, rate=rate, delay=delay)

    async def drop(self, which: DeadLetterFilter) -> Done:
        async with self.database.transaction(None) as transaction:
            return await self.groups.drop(transaction, which)


@pytest.fixture
def letters(database: Database) -> Letters:
    return Letters(database)


def _which(**given: Any) -> DeadLetterFilter:
    return filter_of(now=NOON, **given)


async def test_each_filter_narrows_and_all_of_them_together(letters: Letters) -> None:
    north = await letters.tenant("north")
    (label,) = await letters.give_up(at=NOON - timedelta(hours=3))
    (weigh,) = await letters.give_up(handler="parcels.weigh", tenant_id=north, at=NOON - timedelta(hours=2))
    (late,) = await letters.give_up(error="Late", reason="invalid", tenant_id=north, at=NOON)
    assert await letters.found() == [late, weigh, label], "newest first"
    for given, expected in [
        ({"handler": "parcels.weigh"}, [weigh]),
        ({"error": "Broken"}, [weigh, label]),
        ({"reason": "invalid"}, [late]),
        ({"tenant": "north"}, [late, weigh]),
        ({"tenant": "-"}, [label]),
        ({"since": "2h"}, [late, weigh]),
        ({"until": "2h"}, [label]),
        ({"since": "2026-05-31T09:00", "until": "2026-05-31T12:00+02:00"}, [label]),
        ({"tenant": "north", "error": "Broken", "since": "1d"}, [weigh]),
        ({"tenant": "north", "handler": "nobody"}, []),
    ]:
        assert (given, await letters.found(_which(**given))) == (given, expected)
        assert await letters.groups.count(_which(**given)) == len(expected)
    assert await letters.found(DeadLetterFilter(ids=(weigh, uuid4()))) == [weigh]
    assert await letters.found(DeadLetterFilter(ids=())) == [], "nothing chosen is not everything"
    assert (await letters.dead_letters.get(weigh)).tenant == "north"


@pytest.mark.parametrize("total", [3, 4, 5])
async def test_pages_follow_without_a_gap_while_others_come(letters: Letters, total: int) -> None:
    for _ in range(total):
        await letters.give_up(at=NOON)
    before, seen, cursor = await letters.found(), list[UUID](), ""
    for _ in range(10):
        page = await letters.dead_letters.page(EVERY, cursor=cursor, limit=2)
        seen += [dead.id for dead in page.items]
        cursor = page.cursor
        if not cursor:
            break
        await letters.give_up(at=NOON + timedelta(hours=1))
    assert seen == before and len(seen) == total


async def test_groups_count_and_say_since_when(letters: Letters) -> None:
    north = await letters.tenant("north")
    await letters.give_up(2, at=NOON - timedelta(hours=1))
    await letters.give_up(tenant_id=north, at=NOON + timedelta(minutes=59))
    await letters.give_up(error="Late", tenant_id=north, at=NOON)
    first, second = await letters.groups.groups(EVERY)
    assert (first.handler, first.error, first.count, first.tenant) == ("parcels.label", "Broken", 3, "")
    assert (first.first_at, first.last_at) == (NOON - timedelta(hours=1), NOON + timedelta(minutes=59))
    assert (second.error, second.count) == ("Late", 1)
    by_tenant = await letters.groups.groups(EVERY, by=["tenant"])
    assert sorted((group.tenant, group.count) for group in by_tenant) == [("-", 2), ("north", 2)]
    by_hour = await letters.groups.groups(_which(tenant="north"), by=["reason", "hour"])
    assert [(group.reason, group.hour, group.count) for group in by_hour] == [("exhausted", NOON, 2)]
    assert len(await letters.groups.groups(EVERY, by=["error", "tenant", "hour"], limit=2)) == 2


@pytest.mark.parametrize("by", [[], ["payload"], ["handler", "handler"]])
async def test_grouping_by_anything_else_is_refused(letters: Letters, by: list[str]) -> None:
    with pytest.raises(Invalid):
        await letters.groups.groups(EVERY, by=by)


async def test_filters_that_make_no_sense_are_refused(letters: Letters) -> None:
    for given in [
        {"reason": "bored"},
        {"since": "yesterday"},
        {"until": "99999999999d"},
        {"until": "999999999w"},
        {"since": "0001-01-01T00:00+14:00"},
        {"since": "1h", "until": "2h"},
    ]:
        with pytest.raises(Invalid):
            _which(**given)
    wrongs: list[Callable[[], Awaitable[Any]]] = [
        lambda: letters.found(_which(tenant="nobody")),
        lambda: letters.drop(_which(tenant="nobody")),
        lambda: letters.groups.groups(_which(tenant="nobody")),
        lambda: letters.found(_which(handler="a\x00b")),
        lambda: letters.found(_which(error="\ud800")),
        lambda: letters.groups.cutoff(0),
        lambda: letters.groups.cutoff(10**12),
        *(lambda c=cursor: letters.found(cursor=c) for cursor in ("x", ".", "1.1", "9" * 40 + f".{uuid4()}", "1.\x00")),
        *(lambda r=rate: letters.replay(EVERY, rate=r) for rate in (0, -1, 1e9, float("nan"), float("inf"))),
    ]
    for wrong in wrongs:
        with pytest.raises(Invalid):
            await wrong()


def test_moments() -> None:
    assert moment("90m", NOON, "since") == NOON - timedelta(minutes=90)
    assert moment("2026-05-31", NOON, "since") == NOON - timedelta(hours=12)
    assert moment("2026-05-31T14:00+02:00", NOON, "since") == NOON
    assert moment("", NOON, "since") is None


async def test_a_replay_is_staggered_oldest_message_first(letters: Letters) -> None:
    ids = await letters.give_up(4)
    clock = Sql("SELECT NOW AS now")
    before = as_instant((await letters.database.execute(clock))[0].now)
    assert await letters.replay(EVERY, rate=4, delay=60) == Done(count=4, left=0)
    after = as_instant((await letters.database.execute(clock))[0].now)
    due = await letters.due()
    assert {as_uuid(row.id) for row in due} == set(ids), "under their own ids"
    assert [as_instant(row.occurred_at) for row in due] == sorted(as_instant(row.occurred_at) for row in due)
    assert [row.attempt for row in due] == [0] * 4
    for number, row in enumerate(due):
        planned = timedelta(seconds=60 + number / 4)
        assert before + planned <= as_instant(row.run_at) <= after + planned
    assert await letters.claim() == [], "none is due yet"
    assert (await letters.found(), await letters.replay(EVERY)) == ([], Done(count=0, left=0))


async def test_only_the_chosen_are_replayed_or_dropped(letters: Letters) -> None:
    one, two, three = await letters.give_up(3)
    (other,) = await letters.give_up(error="Late")
    assert await letters.replay(DeadLetterFilter(ids=(one, uuid4()))) == Done(count=1, left=0)
    assert await letters.drop(DeadLetterFilter(error="Late")) == Done(count=1, left=0)
    assert set(await letters.found()) == {two, three}
    assert [as_uuid(row.id) for row in await letters.due()] == [one]
    assert await letters.dead_letters.attempts(other), "until they are pruned"


async def test_more_than_one_act_takes_is_left_and_said(letters: Letters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letter_groups, "MOST", 2)
    await letters.give_up(5)
    assert await letters.replay(EVERY) == Done(count=2, left=3)
    assert await letters.drop(EVERY) == Done(count=2, left=1)
    assert await letters.replay(EVERY) == Done(count=1, left=0)
    assert (await letters.rows(), await letters.rows("dead_letters")) == (3, 0)


async def test_what_gives_up_later_is_not_taken_again(letters: Letters) -> None:
    await letters.give_up()
    now = await letters.groups.pinned(EVERY)
    await letters.replay(now)
    (delivery,) = await letters.claim()
    await letters.bury(delivery, failure(), reason="exhausted")
    assert await letters.replay(now) == Done(count=0, left=0)
    assert await letters.found() == [delivery.id]
    chosen = DeadLetterFilter(ids=(delivery.id,))
    assert await letters.groups.pinned(chosen) == chosen


async def test_overlapping_replays_and_drops_take_each_once(letters: Letters) -> None:
    ids = await letters.give_up(30)
    one = DeadLetterFilter(ids=tuple(ids[:20]))
    other = DeadLetterFilter(ids=tuple(reversed(ids[10:])))
    replays = [letters.replay(one), letters.replay(other), letters.replay(EVERY)]
    done = await asyncio.gather(*replays, letters.drop(other))
    assert sum(each.count for each in done) == 30
    dropped = done[3].count
    assert (await letters.rows(), await letters.rows("dead_letters")) == (30 - dropped, 0)


async def test_a_replay_waits_for_an_edit_and_takes_it_along(letters: Letters) -> None:
    (edited,) = await letters.give_up()
    saved = asyncio.Event()

    async def edit(transaction: Transaction) -> None:
        await letters.dead_letters.edit(transaction, edited, {"number": 7}, by="me")
        saved.set()

    async def edit_slowly() -> None:
        async with letters.database.transaction(None) as transaction:
            await edit(transaction)
            await _one_waits_or_queues(letters.database)

    editing = asyncio.create_task(edit_slowly())
    await saved.wait()
    await asyncio.gather(editing, letters.replay(EVERY))
    (due,) = await letters.due()
    assert msgspec.json.decode(due.payload)["number"] == 7


async def _one_waits_or_queues(database: Database) -> None:
    """Until the other transaction stands behind a lock; SQLite's writers queue in front of theirs."""

    async def waits() -> bool:
        return bool((await database.execute(BEHIND_A_LOCK))[0].n)

    if database.dialect == "postgresql":
        await until(waits)


async def test_pruning_takes_the_old_and_notes_without_a_message(letters: Letters) -> None:
    cutoff = await letters.groups.cutoff(30)
    (old,) = await letters.give_up(at=cutoff - timedelta(seconds=1))
    (young,) = await letters.give_up(at=cutoff)
    (waiting,) = await letters.give_up()
    async with letters.database.transaction(None) as transaction:
        await letters.dead_letters.replay(transaction, waiting)
    async with letters.database.transaction(None) as transaction:
        pruned = await letters.groups.prune(transaction, cutoff)
    assert (pruned.dead_letters, pruned.attempts) == (1, 1)
    assert await letters.found() == [young]
    for kept in (young, waiting):
        assert await letters.dead_letters.attempts(kept)
    assert await letters.dead_letters.attempts(old) == []


async def test_notes_of_a_message_that_ended_well_go_when_they_are_old(letters: Letters) -> None:
    await letters.publish()
    first = await letters.claim_one()
    await letters.retry(first, failure(), delay=0)
    again = await letters.claim_one()
    cutoff = await letters.groups.cutoff(1)
    async with letters.database.transaction(None) as transaction:
        assert (await letters.groups.prune(transaction, cutoff)).attempts == 0, "its message is at work"
    await letters.deliveries.acknowledge_batch([again])
    async with letters.database.transaction(None) as transaction:
        too_young = await letters.groups.prune(transaction, datetime(2019, 1, 1, tzinfo=UTC))
        assert (too_young.attempts, (await letters.groups.prune(transaction, cutoff)).attempts) == (0, 1)


async def test_the_oldest_tells_how_long_people_have_left_it(letters: Letters) -> None:
    assert await letters.dead_letters.oldest_seconds() == 0
    yesterday = await letters.groups.cutoff(1)
    await letters.give_up(at=yesterday)
    await letters.give_up()
    assert 86_400 <= await letters.dead_letters.oldest_seconds() < 86_400 + 600


async def test_one_that_is_gone_is_refused(letters: Letters) -> None:
    (dead,) = await letters.give_up()
    await letters.replay(EVERY)
    for act in (letters.dead_letters.replay, letters.dead_letters.drop):
        with pytest.raises(Conflict):
            async with letters.database.transaction(None) as transaction:
                await act(transaction, dead)
    assert (await letters.rows(), await letters.rows("dead_letters")) == (1, 0)
