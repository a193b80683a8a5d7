"""Part 6: what a worker without work costs, in per cent of one core."""

import asyncio
import time

from benchmarks.common.machine import cpu_seconds
from benchmarks.common.results import Figure, median, number
from benchmarks.messaging.bench import Bench
from benchmarks.messaging.catalogue import NOOP, NOOP_SQLITE, Contender
from benchmarks.messaging.drained import drained

SECONDS, QUICK_SECONDS = 10.0, 3.0
REST_SECONDS = 1.0
START_SECONDS = 60.0
MOST_PERCENT = 1.0
ON = (("PostgreSQL", NOOP), ("SQLite", NOOP_SQLITE))


async def measure(bench: Bench, chosen: list[str]) -> list[Figure]:
    bench.say("\n[bold]An idle worker[/]: its processor time")
    engines = ON[:1] if bench.quick else ON
    used: dict[str, list[float]] = {engine: [] for engine, _ in engines}
    for turn in range(bench.rounds):
        for engine, contender in engines:
            percent = await _percent(bench, contender)
            used[engine].append(percent)
            bench.say(f"  round {turn + 1}  {engine}: {number(percent)} %")
    return [
        Figure(
            name=f"idle worker, {engine}",
            value=median(used[engine]),
            unit="% of a core",
            goal=f"< {MOST_PERCENT:g} %",
            met=median(used[engine]) < MOST_PERCENT,
            durability=await bench.durability(contender.engine),
            rounds=used[engine],
        )
        for engine, contender in engines
    ]


async def _percent(bench: Bench, contender: Contender) -> float:
    """Once it has run a job, so that its start is not measured."""
    async with bench.trial(contender, 1) as trial:
        with trial.worker() as worker:
            await drained(trial, worker, seconds=START_SECONDS)
            await asyncio.sleep(REST_SECONDS)
            before, started = cpu_seconds(worker.pid), time.monotonic()
            await asyncio.sleep(QUICK_SECONDS if bench.quick else SECONDS)
            return 100 * (cpu_seconds(worker.pid) - before) / (time.monotonic() - started)
