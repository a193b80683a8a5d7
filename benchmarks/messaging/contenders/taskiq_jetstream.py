"""Taskiq on NATS JetStream: one worker process with uvloop, acknowledged after the handler's commit.

A crash between commit and acknowledgement runs the handler again.
"""

import asyncio
import os
import sys
from pathlib import Path

import asyncpg
from taskiq import TaskiqEvents, TaskiqState
from taskiq_nats import PullBasedJetStreamBroker

from benchmarks.messaging.contenders.task import INSERT, NOTE, Task

task = Task.given()
name = task.meter.parent.name
broker = PullBasedJetStreamBroker(
    servers=[task.broker_url],
    subject=name,
    stream_name=name,
    durable=name,
    pull_consume_batch=100,
    pull_consume_timeout=1.0,
)
INTO_EFFECTS = INSERT.format("$1", "$2")


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def connect(state: TaskiqState) -> None:
    state.pool = await asyncpg.create_pool(task.database_url, min_size=task.slots, max_size=task.slots)


@broker.task(task_name="row")
async def write_row(number: int, note: str) -> None:
    async with broker.state.pool.acquire() as connection, connection.transaction():
        await connection.execute(INTO_EFFECTS, number, note)


async def fill() -> None:
    await broker.startup()
    for start in range(0, task.jobs, 500):
        numbers = range(start, min(start + 500, task.jobs))
        await asyncio.gather(*(write_row.kiq(number, NOTE) for number in numbers))
    await broker.shutdown()


def work() -> None:
    program = Path(sys.executable).with_name("taskiq")
    flags = ["--workers", "1", "--max-async-tasks", str(task.slots), "--ack-type", "when_executed"]
    quiet = ["--max-prefetch", "100", "--log-level", "WARNING"]
    module = "benchmarks.messaging.contenders.taskiq_jetstream:broker"
    os.execv(program, [str(program), "worker", *flags, *quiet, module])


if __name__ == "__main__":
    asyncio.run(fill()) if sys.argv[1] == "fill" else work()
