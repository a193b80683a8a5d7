"""The process under test: ``groundplan run`` as anybody starts it, with what a test lays in its way."""

import asyncio
import dataclasses
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import groundplan.backend.worker.worker as worker
import groundplan.cli.run as command
from groundplan import wiring
from groundplan.core.clock import SystemClock
from groundplan.data.database import sqlite
from groundplan.settings import Settings
from tests.chaos.steps import Point

CLOCK_STEP = timedelta(minutes=10)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rig:
    """``step`` is where it gets ``how``, the ``at``-th time. The other times are in seconds.

    ``lease`` and ``reap`` shorten what would only be waited for; ``broker_lease``, under which nothing is renewed,
    makes a broker hand out what is still at work. ``pages`` are the most that SQLite may have.
    """

    lease: int
    reap: float
    step: str = ""
    at: int = 1
    how: signal.Signals = signal.SIGKILL
    broker_lease: float = 0.0
    pages: int = 0


def main(folder: Path, environment: Mapping[str, str], log: Path, rig: Rig) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    _end_with_parent()
    _shorten(rig)
    _make_clock_movable()
    if rig.broker_lease:
        _let_leases_end(rig.broker_lease)
    if rig.pages:
        sqlite._PRAGMAS += (f"max_page_count={rig.pages}",)  # type: ignore[assignment]
    if rig.step:
        Point(rig.step, rig.at, rig.how).lay()
    sys.exit(command.run("worker", port=None, host=None, prepare=False))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is None:
        raise AssertionError("This is started by a test.")

    def watch() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def _shorten(rig: Rig) -> None:
    worker.REAP_SECONDS = rig.reap

    def build(settings: Settings, *args: Any, **named: Any) -> wiring.Process:
        return wiring.build(dataclasses.replace(settings, worker_lease_seconds=rig.lease), *args, **named)

    command.build = build  # type: ignore[attr-defined]


def _make_clock_movable() -> None:
    """SIGUSR1 puts this process's clock ten minutes ahead, SIGUSR2 ten back."""
    shift = timedelta()
    real_ns, real = time.time_ns, time.time

    def move(by: timedelta) -> Callable[..., None]:
        def moved(*_: object) -> None:
            nonlocal shift
            shift += by

        return moved

    class MovableClock(SystemClock):
        def now(self) -> datetime:
            return datetime.now(UTC) + shift

    time.time_ns = lambda: real_ns() + int(shift.total_seconds() * 1e9)
    time.time = lambda: real() + shift.total_seconds()
    wiring.SystemClock = MovableClock  # type: ignore[attr-defined]
    signal.signal(signal.SIGUSR1, move(CLOCK_STEP))
    signal.signal(signal.SIGUSR2, move(-CLOCK_STEP))


def _let_leases_end(seconds: float) -> None:
    for path in wiring.BROKERS.values():
        adapter = wiring.load(path)
        made = adapter.__init__

        def make(self: Any, *args: Any, lease: float, made: Any = made, **named: Any) -> None:
            made(self, *args, lease=seconds, **named)

        async def extend(self: Any, held: Any) -> None:
            await asyncio.sleep(0)

        adapter.__init__, adapter.extend = make, extend
