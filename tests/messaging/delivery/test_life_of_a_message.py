"""A state machine over the queue: whatever happens, a message is in one place, and acknowledged at most once."""

import asyncio
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from groundplan.core.errors import LeaseLost
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql, as_uuid
from groundplan.messaging.message import Delivery
from tests.databases import Templates
from tests.messaging.delivery.test_deliveries import Queue, failure

WAITING = Sql("SELECT id FROM deliveries WHERE handler = 'parcels.label'")
DEAD = Sql("SELECT id FROM dead_letters")


class Life(RuleBasedStateMachine):
    """Two workers, one of which may be late with anything."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "app.db"
        shutil.copy(self.template, path)
        self.runner = asyncio.Runner()
        self.queue = Queue(Database(f"sqlite+aiosqlite:///{path}"))
        self.held: list[Delivery] = []
        self.published = 0
        self.acknowledged: Counter[UUID] = Counter()

    def teardown(self) -> None:
        self.runner.run(self.queue.database.close())
        self.runner.close()
        self.folder.cleanup()

    @rule(count=st.integers(1, 3))
    def publish(self, count: int) -> None:
        self.runner.run(self.queue.publish(count))
        self.published += count

    @rule(slots=st.integers(1, 4), lease=st.sampled_from([0, 60]))
    def claim(self, slots: int, lease: float) -> None:
        claimed = self.runner.run(self.queue.claim(slots, lease=lease))
        assert len(claimed) <= slots
        self.held += claimed

    @precondition(lambda self: self.held)
    @rule(data=st.data(), batch=st.booleans())
    def acknowledge(self, data: st.DataObject, batch: bool) -> None:
        delivery = self._take(data)
        if batch:
            if self.runner.run(self.queue.deliveries.acknowledge_batch([delivery])):
                self.acknowledged[delivery.id] += 1
            return

        async def with_effects() -> bool:
            try:
                async with self.queue.database.transaction(None) as transaction:
                    self.queue.deliveries.acknowledge(transaction, delivery)
            except LeaseLost:
                return False
            return True

        if self.runner.run(with_effects()):
            self.acknowledged[delivery.id] += 1

    @precondition(lambda self: self.held)
    @rule(data=st.data(), how=st.sampled_from(["retry", "bury", "release", "renew"]))
    def end_otherwise(self, data: st.DataObject, how: str) -> None:
        delivery, deliveries = self._take(data), self.queue.deliveries
        acts = {
            "retry": lambda: self.queue.retry(delivery, failure(), delay=0),
            "bury": lambda: self.queue.bury(delivery, failure(), reason="exhausted"),
            "release": lambda: deliveries.release([delivery]),
            "renew": lambda: deliveries.renew([delivery], lease=0),
        }
        self.runner.run(acts[how]())

    @rule(everything=st.booleans())
    def reap(self, everything: bool) -> None:
        self.runner.run(self.queue.deliveries.reap(all_leases=everything))

    @rule()
    def replay(self) -> None:
        async def newest() -> None:
            for dead in await self.queue.dead_letters.newest(limit=1):
                async with self.queue.database.transaction(None) as transaction:
                    await self.queue.dead_letters.replay(transaction, dead.id)

        self.runner.run(newest())

    @invariant()
    def each_is_in_one_place(self) -> None:
        waiting = [as_uuid(row.id) for row in self.runner.run(self.queue.database.execute(WAITING))]
        dead = [as_uuid(row.id) for row in self.runner.run(self.queue.database.execute(DEAD))]
        places = [*waiting, *dead, *self.acknowledged]
        assert len(places) == len(set(places)) == self.published
        assert all(times == 1 for times in self.acknowledged.values())

    def _take(self, data: st.DataObject) -> Delivery:
        return self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))


def test_the_life_of_a_message(templates: Templates) -> None:
    Life.template = templates.sqlite
    quick = settings(max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Life, settings=quick)
