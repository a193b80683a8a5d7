"""How long a worker takes for all jobs: from the start of the first until the last is acknowledged."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable

from benchmarks.common.machine import BenchmarkFailed
from benchmarks.common.processes import Worker
from benchmarks.messaging.bench import Trial

POLL_SECONDS, LAST_SECONDS = 0.02, 0.001
"""Nothing but a file is looked at while handlers run; then the table, often, until its last row is gone."""


async def drained(trial: Trial, worker: Worker, *, seconds: float) -> float:
    """In seconds. Raises BenchmarkFailed if the worker ends or has not done all within ``seconds``."""
    give_up = time.monotonic() + seconds
    while not trial.task.meter.is_file():
        _look(worker, give_up, seconds)
        await asyncio.sleep(POLL_SECONDS)
    met = json.loads(trial.task.meter.read_text())
    left = _left(trial)
    while await left():
        _look(worker, give_up, seconds)
        await asyncio.sleep(LAST_SECONDS)
    return max(time.time(), float(met["last"])) - float(met["first"])


def _look(worker: Worker, give_up: float, seconds: float) -> None:
    worker.check()
    if time.monotonic() > give_up:
        raise BenchmarkFailed(f"{worker.name} was not done after {seconds:.0f} s.{worker.last_words()}")


def _left(trial: Trial) -> Callable[[], Awaitable[bool]]:
    """Whether jobs are left."""
    query = f"SELECT EXISTS (SELECT 1 FROM {trial.contender.table})"
    if trial.connection is not None:
        postgresql = trial.connection

        async def on_postgresql() -> bool:
            return bool(await postgresql.fetchval(query))

        return on_postgresql
    sqlite = sqlite3.connect(f"file:{trial.folder / 'app.db'}?mode=ro", uri=True)

    async def on_sqlite() -> bool:
        return bool(sqlite.execute(query).fetchone()[0])

    return on_sqlite
