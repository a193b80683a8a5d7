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
    skip: int
    """No-ops that are done before the clock starts, so that a short run is not all warming up."""
    meter: Path
    """Where the meter of the no-ops writes when the first counted one and the last one began."""

    @classmethod
    def given(cls) -> Self:
        names = ("DATABASE_URL", "BROKER_URL", "KIND", "JOBS", "SLOTS", "SKIP", "METER")
        database, broker, kind, jobs, slots, skip, meter = (os.environ[f"BENCH_{name}"] for name in names)
        return cls(database, broker, kind, int(jobs), int(slots), int(skip), Path(meter))

    def environment(self) -> dict[str, str]:
        return {f"BENCH_{name.upper()}": str(value) for name, value in self._asdict().items()}


class Meter:
    """Counts handlers as they begin; writes the first counted and the last instant once all have."""

    def __init__(self, task: Task) -> None:
        self._path = task.meter
        self._left = task.jobs
        self._counted = task.jobs - task.skip
        self._first = 0.0

    def count(self) -> None:
        if self._left == self._counted:
            self._first = time.time()
        self._left -= 1
        if self._left == 0:
            unfinished = self._path.with_suffix(".part")
            unfinished.write_text(json.dumps({"first": self._first, "last": time.time()}))
            unfinished.rename(self._path)
