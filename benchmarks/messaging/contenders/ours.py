"""The platform: jobs sent by a unit of work of the app, then `groundplan run --role worker` as anybody starts it."""

import asyncio
import os
import sys
from pathlib import Path

from benchmarks.messaging.app import DoNothing, WriteRow, WriteRowOrm, app
from benchmarks.messaging.contenders.task import NOTE, Task
from groundplan.testing.app import running

BATCH = 500
JOBS = {"row": WriteRow, "row-orm": WriteRowOrm, "noop": DoNothing}


async def fill(task: Task) -> None:
    kind = JOBS[task.kind]
    folder = Path.cwd()
    named = ("DATABASE_URL", "QUEUE_URL", "SECRET_KEY")
    environment = {name: os.environ[name] for name in named if name in os.environ}
    owner = task.database_url.replace("postgresql://", "postgresql+asyncpg://", 1)
    async with running(app, folder, role="api", owner_url=owner, **environment) as platform:
        for start in range(0, task.jobs, BATCH):
            context = platform.context(system=True)
            async with context.transaction():
                for number in range(start, min(start + BATCH, task.jobs)):
                    context.enqueue(kind(number=number, note=NOTE))


if __name__ == "__main__":
    if sys.argv[1] == "work":
        os.execv(sys.executable, [sys.executable, "-m", "groundplan.cli", "run", "--role", "worker"])
    asyncio.run(fill(Task.given()))
