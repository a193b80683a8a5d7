"""The platform's sending side: jobs at a steady rate with the time in them; transactions with and without an event."""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from benchmarks.messaging.app import Effect, RowWritten, TellTime
from benchmarks.messaging.contenders.ours import platform
from benchmarks.messaging.contenders.task import NOTE, Task
from groundplan.app import Context
from groundplan.testing.app import RunningApp, until

WARM_UP = 50


async def send(task: Task) -> None:
    """BENCH_RATE jobs a second; with BENCH_ROLE ``all`` this process also runs them."""
    rate, role = float(os.environ["BENCH_RATE"]), os.environ["BENCH_ROLE"]
    warm, samples = task.meter.with_name("warm"), task.meter.with_name("samples")
    for path in (warm, samples):
        path.touch()
    async with platform(task, "all" if role == "all" else "api") as app:
        await _send(app, warm, WARM_UP, rate)
        await _send(app, samples, task.jobs, rate)
    samples.rename(task.meter)


async def _send(app: RunningApp, samples: Path, jobs: int, rate: float) -> None:
    started = time.monotonic()
    for number in range(jobs):
        await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
        context = app.context(system=True)
        async with context.transaction():
            context.enqueue(TellTime(sent=time.time(), samples=str(samples)))
    await until(lambda: samples.read_text().count("\n") >= jobs)


async def publish(task: Task) -> None:
    """One ORM insert in a transaction, in turns with and without an event; microseconds of each go to the meter."""
    taken: dict[str, list[float]] = {"without": [], "with": []}
    async with platform(task, "api") as app:
        for number in range(2 * (WARM_UP + task.jobs)):
            kind = "with" if number % 2 else "without"
            taken[kind].append(await _insert(app.context(system=True), number, published=kind == "with"))
    kept = {kind: micros[WARM_UP:] for kind, micros in taken.items()}
    unfinished = task.meter.with_suffix(".part")
    unfinished.write_text(json.dumps(kept))
    unfinished.rename(task.meter)


async def _insert(context: Context, number: int, *, published: bool) -> float:
    started = time.perf_counter()
    async with context.transaction() as db:
        db.add(Effect(job=number, note=NOTE))
        if published:
            context.publish(RowWritten(number=number, note=NOTE))
    return (time.perf_counter() - started) * 1_000_000


if __name__ == "__main__":
    asyncio.run({"send": send, "publish": publish}[sys.argv[1]](Task.given()))
