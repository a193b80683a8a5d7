"""Procrastinate with its psycopg connector. Finished jobs are deleted, as everybody else's are.

It marks a job as done after the handler's commit: a crash in between leaves it to be retried by hand.
"""

import asyncio
import sys

from procrastinate import App, PsycopgConnector
from psycopg_pool import AsyncConnectionPool

from benchmarks.messaging.contenders.task import INSERT, NOTE, Task


def application(task: Task, pool: AsyncConnectionPool) -> App:
    connector = PsycopgConnector(conninfo=task.database_url, min_size=2, max_size=task.slots)
    app, insert = App(connector=connector), INSERT.format("%s", "%s")

    @app.task(name="row")
    async def write_row(number: int, note: str) -> None:
        async with pool.connection() as connection:
            await connection.execute(insert, (number, note))

    return app


async def fill(task: Task) -> None:
    app = application(task, AsyncConnectionPool(task.database_url, open=False))
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        defer = app.configure_task("row")
        for start in range(0, task.jobs, 1000):
            rows = [{"number": n, "note": NOTE} for n in range(start, min(start + 1000, task.jobs))]
            await defer.batch_defer_async(*rows)


async def work(task: Task) -> None:
    async with AsyncConnectionPool(task.database_url, min_size=task.slots, max_size=task.slots) as pool:
        app = application(task, pool)
        async with app.open_async():
            await app.run_worker_async(concurrency=task.slots, delete_jobs="always", fetch_job_polling_interval=1.0)


if __name__ == "__main__":
    asyncio.run({"fill": fill, "work": work}[sys.argv[1]](Task.given()))
