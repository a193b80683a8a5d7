"""The same SQL on the same driver and nothing else: claim in batches, with a lease and a token, then run and delete.

No envelope, schema, trace, metric, retry, reaper or shutdown. Each slot keeps a connection of its own.
"""

import asyncio
import sys
from uuid import UUID, uuid4

import asyncpg

from benchmarks.messaging.contenders.task import INSERT, NOTE, Meter, Task

TABLE = """
CREATE TABLE jobs (id uuid PRIMARY KEY, kind text NOT NULL, payload jsonb NOT NULL, state text NOT NULL,
    run_at timestamptz NOT NULL, lease_token uuid, lease_until timestamptz)
    WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX jobs_ready ON jobs (run_at) WHERE state = 'ready';
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state = 'leased';
"""
FILL = """
INSERT INTO jobs (id, kind, payload, state, run_at)
SELECT uuidv7(), $1, jsonb_build_object('number', n, 'note', $2::text), 'ready', clock_timestamp()
FROM generate_series(0, $3::bigint - 1) n
"""
CLAIM = """
WITH next AS MATERIALIZED (
    SELECT id FROM jobs WHERE state = 'ready' AND run_at <= clock_timestamp()
    ORDER BY run_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE jobs SET state = 'leased', lease_token = $2, lease_until = clock_timestamp() + interval '45 seconds'
FROM next WHERE jobs.id = next.id
RETURNING jobs.id, (payload ->> 'number')::bigint AS number, payload ->> 'note' AS note
"""
DELETE = "DELETE FROM jobs WHERE id = $1 AND lease_token = $2"
DELETE_BATCH = "DELETE FROM jobs WHERE id = ANY($1::uuid[]) AND lease_token = $2"
ROWS_AT_A_TIME = 100
NOOPS_AT_A_TIME = 500

Claimed = tuple[UUID, UUID, int, str]


async def fill(task: Task) -> None:
    connection = await asyncpg.connect(task.database_url)
    await connection.execute(TABLE)
    await connection.execute(FILL, task.kind, NOTE, task.jobs)
    await connection.close()


async def work(task: Task) -> None:
    await (_work_rows if task.kind == "row" else _work_noops)(task)


async def _work_rows(task: Task) -> None:
    claimed: asyncio.Queue[Claimed] = asyncio.Queue(maxsize=2 * ROWS_AT_A_TIME)
    async with asyncio.TaskGroup() as group:
        for _ in range(task.slots):
            group.create_task(_write_rows(task, claimed))
        connection = await asyncpg.connect(task.database_url)
        while True:
            token = uuid4()
            rows = await connection.fetch(CLAIM, ROWS_AT_A_TIME, token)
            for row in rows:
                await claimed.put((row["id"], token, row["number"], row["note"]))
            if not rows:
                await asyncio.sleep(0.01)


async def _write_rows(task: Task, claimed: asyncio.Queue[Claimed]) -> None:
    connection = await asyncpg.connect(task.database_url)
    insert = INSERT.format("$1", "$2")
    while True:
        job, token, number, note = await claimed.get()
        async with connection.transaction():
            await connection.execute(insert, number, note)
            if await connection.execute(DELETE, job, token) != "DELETE 1":
                raise RuntimeError(f"The lease of {job} is lost.")


async def _work_noops(task: Task) -> None:
    connection = await asyncpg.connect(task.database_url)
    meter = Meter(task)

    async def handle(number: int, note: str) -> None:
        meter.count()

    while True:
        token = uuid4()
        rows = await connection.fetch(CLAIM, NOOPS_AT_A_TIME, token)
        for row in rows:
            await handle(row["number"], row["note"])
        if rows:
            await connection.execute(DELETE_BATCH, [row["id"] for row in rows], token)
        else:
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run({"fill": fill, "work": work}[sys.argv[1]](Task.given()))
