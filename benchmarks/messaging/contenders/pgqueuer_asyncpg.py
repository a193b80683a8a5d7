"""PgQueuer by its performance guide: one asyncpg connection for the queue, a pool beside it, big batches, uvloop.

It acknowledges after the handler's commit, in batches: a crash in between runs the handler again.
"""

import sys
from datetime import timedelta

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from benchmarks.messaging.contenders.task import INSERT, NOTE, Meter, Task

BATCH = 500


async def fill(task: Task) -> None:
    connection = await asyncpg.connect(task.database_url)
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    await queries.optimize_autovacuum()
    for start in range(0, task.jobs, 5000):
        numbers = range(start, min(start + 5000, task.jobs))
        payloads = [f"{number} {NOTE}".encode() for number in numbers]
        await queries.enqueue([task.kind] * len(numbers), payloads, [0] * len(numbers))
    await connection.close()


async def work(task: Task) -> None:
    queue = PgQueuer(AsyncpgDriver(await asyncpg.connect(task.database_url)))
    pool = await asyncpg.create_pool(task.database_url, min_size=task.slots, max_size=task.slots)
    meter, insert = Meter(task), INSERT.format("$1", "$2")

    @queue.entrypoint("row")
    async def write_row(job: Job) -> None:
        number, _, note = (job.payload or b"").decode().partition(" ")
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(insert, int(number), note)

    @queue.entrypoint("noop")
    async def do_nothing(job: Job) -> None:
        meter.count()

    await queue.run(batch_size=BATCH, dequeue_timeout=timedelta(seconds=1))


if __name__ == "__main__":
    uvloop.run({"fill": fill, "work": work}[sys.argv[1]](Task.given()))
