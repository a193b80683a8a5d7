"""What every contender is asked to do, and how no-ops are counted. Standard library only: all environments run it."""

import json
import os
import time
from pathlib import Path
from typing import NamedTuple, Self

NOTE = "As much text as a small job carries, so that nobody is measured on an empty payload."
INSERT = "INSERT INTO effects (job, note) VALUES ({}, {})"
"""The row of the fenced path, with the driver's placeholders put in."""


class Task(NamedTuple):
    database_url: str
    broker_url: str
    kind: str
    """``row``: the handler writes one row in a transaction of its own. ``noop``: it does nothing."""
    jobs: int
    slots: int
    """Handlers at a time, and connections that they may use."""
    meter: Path
    """Where the meter of the no-ops writes when the first and the last one began."""

    @classmethod
    def given(cls) -> Self:
        names = ("DATABASE_URL", "BROKER_URL", "KIND", "JOBS", "SLOTS", "METER")
        database, broker, kind, jobs, slots, meter = (os.environ[f"BENCH_{name}"] for name in names)
        return cls(database, broker, kind, int(jobs), int(slots), Path(meter))

    def environment(self) -> dict[str, str]:
        return {f"BENCH_{name.upper()}": str(value) for name, value in self._asdict().items()}


class Meter:
    """Counts handlers as they begin; writes the first and the last instant once all have."""

    def __init__(self, task: Task) -> None:
        self._path = task.meter
        self._left = task.jobs
        self._first = 0.0

    def count(self) -> None:
        self._left -= 1
        if not self._first:
            self._first = time.time()
        if self._left == 0:
            unfinished = self._path.with_suffix(".part")
            unfinished.write_text(json.dumps({"first": self._first, "last": time.time()}))
            unfinished.rename(self._path)
