"""The table that handlers write to, the same for every contender, and the rate at which its rows were written."""

import asyncio
import time
from typing import Any

from benchmarks.common.machine import BenchmarkFailed
from benchmarks.common.processes import Worker

POSTGRESQL = """CREATE TABLE effects (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job bigint NOT NULL,
    note text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
)"""
SQLITE = """CREATE TABLE effects (
    id INTEGER PRIMARY KEY,
    job INTEGER NOT NULL,
    note TEXT NOT NULL,
    at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now'))
)"""
_READ = """
SELECT count(*) AS rows, count(DISTINCT job) AS jobs, extract(epoch FROM max(at) - min(at))::float8 AS seconds
FROM effects
"""
POLL_SECONDS = 0.1


async def rate(connection: Any, jobs: int, worker: Worker, *, seconds: float) -> float:
    """Rows per second from the first to the last, once all are there.

    Raises:
        BenchmarkFailed: the worker ended or did not finish in ``seconds``, or there is not one row for each job.
    """
    give_up = time.monotonic() + seconds
    while await connection.fetchval("SELECT count(*) FROM effects") < jobs:
        worker.check()
        if time.monotonic() > give_up:
            written = await connection.fetchval("SELECT count(*) FROM effects")
            raise BenchmarkFailed(
                f"{worker.name} wrote {written} of {jobs} rows in {seconds:.0f} s.{worker.last_words()}"
            )
        await asyncio.sleep(POLL_SECONDS)
    found = await connection.fetchrow(_READ)
    if found["rows"] != jobs or found["jobs"] != jobs:
        raise BenchmarkFailed(f"{worker.name} wrote {found['rows']} rows for {found['jobs']} of {jobs} jobs.")
    return (jobs - 1) / float(found["seconds"])
