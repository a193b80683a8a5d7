"""The platform: jobs sent by a unit of work of the app, then `groundplan run --role worker` as anybody starts it."""

import asyncio
import os
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from benchmarks.messaging.app import DoNothing, WriteRow, WriteRowCore, WriteRowOrm, app
from benchmarks.messaging.contenders.task import NOTE, Task
from groundplan.core.context import changed
from groundplan.core.ids import trace_id
from groundplan.testing.app import RunningApp, running
from groundplan.wiring import Role

BATCH = 500
JOBS = {"row": WriteRow, "row-core": WriteRowCore, "row-orm": WriteRowOrm, "noop": DoNothing}
SETTINGS = ("DATABASE_URL", "DATABASE_POOL_SIZE", "QUEUE_URL", "SECRET_KEY", "WORKER_SLOTS")


def platform(task: Task, role: Role) -> AbstractAsyncContextManager[RunningApp]:
    """The app in this process, with the settings that a worker of the same trial has."""
    environment = {name: os.environ[name] for name in SETTINGS if name in os.environ}
    scheme, _, rest = task.database_url.partition("://")
    owner = f"postgresql+asyncpg://{rest}" if scheme == "postgresql" else ""
    return running(app, Path.cwd(), role=role, owner_url=owner, **environment)


async def fill(task: Task) -> None:
    kind = JOBS[task.kind]
    async with platform(task, "api") as running_app:
        for start in range(0, task.jobs, BATCH):
            context = running_app.context(system=True)
            with changed(trace_id=trace_id()):  # or one draw would decide whether all traces are kept, or none
                async with context.transaction():
                    for number in range(start, min(start + BATCH, task.jobs)):
                        context.enqueue(kind(number=number, note=NOTE))


if __name__ == "__main__":
    if sys.argv[1] == "work":
        os.execv(sys.executable, [sys.executable, "-m", "groundplan.cli", "run", "--role", "worker"])
    asyncio.run(fill(Task.given()))
