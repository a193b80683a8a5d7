"""One database, one queue, the workers on them, and the final count: acknowledged = stored = effects, by number."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Set
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from groundplan.core.errors import Unavailable
from groundplan.data.queue.port import Broker
from groundplan.settings import load
from groundplan.testing.servers import Server
from groundplan.wiring import broker_of
from tests.chaos.app import LEDGER, app
from tests.chaos.entry import Rig
from tests.chaos.processes import Worker
from tests.chaos.producer import Producer
from tests.chaos.scale import SCALE
from tests.system.database import ask

PATIENCE_SECONDS = 120.0
"""Twice what is promised, for four tests share the machine; how long it took is in the outcome."""
POLL_SECONDS = 0.1
SECRET = "a secret that only this test run knows"
PROJECT = '[tool.groundplan]\napp = "{app}"\n'


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """``attempts`` are the lines in the ledger: outside effects, at least one for each. ``recovery`` in seconds."""

    scenario: str
    backend: str
    seed: int
    messages: int
    kills: int
    effects: int
    attempts: int
    dead: int
    recovery: float


class Site:
    def __init__(
        self,
        fork: ForkServerContext,
        folder: Path,
        backend: str,
        database_url: str,
        broker: Server | None,
        seed: int,
        record: Callable[[Outcome], None],
    ) -> None:
        self.folder, self.backend, self.seed = folder, backend, seed
        self.database_url = database_url
        self.broker = broker
        self.producer = Producer(database_url, seed)
        self._fork = fork
        self._record = record
        self._workers: list[Worker] = []
        self.set_release("tests.chaos.app:app")

    @property
    def by_broker(self) -> bool:
        return self.broker is not None

    @property
    def server(self) -> Server:
        if self.broker is None:
            raise AssertionError(f"{self.backend} has no broker.")
        return self.broker

    @property
    def last(self) -> Worker:
        """The worker that was started last."""
        return self._workers[-1]

    def set_release(self, app: str) -> None:
        """What workers that start from now on are of."""
        (self.folder / "pyproject.toml").write_text(PROJECT.format(app=app))

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "APP_ENV": "ci",
            "LOG_LEVEL": "info",
            "SECRET_KEY": SECRET,
            "DATABASE_URL": self.database_url,
            "QUEUE_URL": self.broker.url if self.broker else "database",
            "DRAIN_SECONDS": "5",
            **more,
        }

    def worker(self, step: str = "", at: int = 1, *, slots: int = 8, **rig: Any) -> Worker:
        """Starts one; with ``step`` it ends there, else it lives until the end of the test."""
        made = Rig(step=step, at=at, **{"lease": SCALE.lease, "reap": SCALE.reap, **rig})
        environment = self.environment(WORKER_SLOTS=str(slots), DATABASE_POOL_SIZE="8")
        log = self.folder / f"worker-{len(self._workers)}.log"
        worker = Worker(self._fork, self.folder, environment, log, made)
        self._workers.append(worker)
        return worker

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()

    def ask(self, sql: str) -> list[Any]:
        return ask({}, sql, url=self.database_url)

    def count(self, table: str, where: str = "1 = 1") -> int:
        return int(self.ask(f"SELECT COUNT(*) AS n FROM {table} WHERE {where}")[0].n)

    def depth(self) -> int:
        """How many messages the broker has; none where there is no broker."""
        broker = self._client()
        if broker is None:
            return 0

        async def inside() -> int:
            await broker.open()
            try:
                return sum((await broker.depth(["default"])).values())
            finally:
                await broker.close()

        return asyncio.run(inside())

    def until(self, holds: Callable[[], bool], *, seconds: float = PATIENCE_SECONDS) -> None:
        """Waits for a condition of the database; while that is away it does not hold."""
        give_up = time.monotonic() + seconds
        while not _holds(holds):
            assert time.monotonic() < give_up, f"not within {seconds} s:\n{self.story()}"
            time.sleep(POLL_SECONDS)

    def until_effects(self, count: int, *, seconds: float = PATIENCE_SECONDS) -> None:
        self.until(lambda: self.count("effects") >= count, seconds=seconds)

    def finish(
        self,
        scenario: str,
        *,
        kills: int,
        since: float,
        dead: Set[int] = frozenset(),
        handlers: Callable[[int], int] = lambda _: 1,
    ) -> Outcome:
        """Waits until nothing is queued any more, then counts. ``since`` is when everything was well again.

        ``dead`` are the numbers meant for the dead letters; ``handlers`` how many handle a number.
        """
        self.until_idle(dead, handlers)
        recovery = time.monotonic() - since
        stored = self._stored()
        acknowledged, refused = self.producer.acknowledged, self.producer.refused.keys()
        assert acknowledged <= stored, f"acknowledged and not stored: {sorted(acknowledged - stored)}"
        assert stored - acknowledged <= refused, "stored and never sent"
        effects = Counter((row.number, row.handler) for row in self.ask("SELECT number, handler FROM effects"))
        assert [each for each, count in effects.items() if count > 1] == [], "done twice"
        numbers = Counter(number for number, _ in effects)
        assert set(numbers) == stored - dead, f"lost: {sorted(stored - dead - set(numbers))}\n{self.story()}"
        assert all(count == handlers(number) for number, count in numbers.items())
        attempts = [int(line.split()[2]) for line in (self.folder / LEDGER).read_text().splitlines()]
        assert set(attempts) == stored, "each has been tried outside at least once"
        assert self.count("dead_letters") == len(dead), self.story()
        outcome = Outcome(
            scenario=scenario,
            backend=self.backend,
            seed=self.seed,
            messages=len(stored),
            kills=kills,
            effects=len(effects),
            attempts=len(attempts),
            dead=len(dead),
            recovery=round(recovery, 2),
        )
        self._record(outcome)
        return outcome

    def story(self) -> str:
        """What is left, and what the last worker said."""
        queue = "SELECT handler, version, state, attempt, crashes, COUNT(*) AS n FROM deliveries GROUP BY 1, 2, 3, 4, 5"
        dead = "SELECT handler, reason, error, detail, crashes FROM dead_letters"
        last = self._workers[-1].lines()[-3000:] if self._workers else ""
        return f"queue {self.ask(queue)}\ndead {self.ask(dead)}\nbroker {self.depth()}\n{last}"

    def until_idle(self, dead: Set[int] = frozenset(), handlers: Callable[[int], int] = lambda _: 1) -> None:
        """Waits until nothing is queued, at work or at the broker."""
        self.until(lambda: self._is_idle(dead, handlers))

    def _is_idle(self, dead: Set[int], handlers: Callable[[int], int]) -> bool:
        # Twice, for a message may leave for the broker, or come home, between the two that are asked.
        if any(self.count("deliveries") or self.depth() for _ in range(2 if self.by_broker else 1)):
            return False
        client = self._client()
        if client is None or client.counts_what_others_hold:
            return True
        # What a worker holds is seen by nobody: it is idle when there is an effect for everything.
        return self.count("effects") >= sum(map(handlers, self._stored() - dead))

    def _stored(self) -> set[int]:
        return {row.number for row in self.ask("SELECT number FROM sent")}

    def _client(self) -> Broker | None:
        return broker_of(load(root=self.folder, environ=self.environment()).settings, app.name)


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except Unavailable:
        return False
