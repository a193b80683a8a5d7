"""Part 5: does a long queue slow each of its jobs down? Many waiting no-ops against few, per job, on PostgreSQL."""

from typing import Any

from benchmarks.common.results import Figure, median, number
from benchmarks.messaging.bench import Bench
from benchmarks.messaging.catalogue import NOOP
from benchmarks.messaging.drained import drained

FEW, MANY, QUICK_MANY = 10_000, 1_000_000, 100_000
QUICK_SECONDS, QUICK_LESS = 15.0, 30_000
"""A quick run drains fewer where QUICK_MANY would take longer than this."""
SKIP = 2_000
SECONDS = 1800.0
SLOWER = 0.25

_COLUMNS = """
SELECT column_name FROM information_schema.columns
WHERE table_name = 'deliveries' AND table_schema = 'public' AND column_name NOT IN ('id', 'run_at')
    AND is_identity = 'NO' AND is_generated = 'NEVER' AND coalesce(column_default, '') NOT LIKE 'nextval%'
"""


async def measure(bench: Bench, chosen: list[str]) -> list[Figure]:
    bench.say("\n[bold]A long queue[/]: time per job")
    many = QUICK_MANY if bench.quick else MANY
    few_taken: list[float] = []
    many_taken: list[float] = []
    for turn in range(bench.rounds):
        for short in (True, False) if turn % 2 == 0 else (False, True):
            if bench.quick and not short and few_taken[0] * many > QUICK_SECONDS * 1_000_000:
                many = QUICK_LESS
            jobs = FEW if short else many
            micros = await _micros(bench, jobs)
            (few_taken if short else many_taken).append(micros)
            bench.say(f"  round {turn + 1}  {jobs:,} waiting: {number(micros)} us a job")
    durability = await bench.durability("postgresql")
    few, long = _figure(FEW, few_taken, durability), _figure(many, many_taken, durability)
    ratio = median(many_taken) / median(few_taken)
    long.against, long.ratio = few.name, ratio
    long.goal, long.met = f"< {SLOWER:.0%} slower", ratio < 1 + SLOWER
    return [few, long]


def _figure(jobs: int, taken: list[float], durability: str) -> Figure:
    name = f"a no-op job, {jobs:,} waiting"
    return Figure(name=name, value=median(taken), unit="us", durability=durability, rounds=taken)


async def _micros(bench: Bench, jobs: int) -> float:
    async with bench.trial(NOOP, SKIP + jobs, filled=1, skip=SKIP) as trial:
        await _multiply(trial.connection, SKIP + jobs)
        await trial.settle()
        with trial.worker() as worker:
            return await drained(trial, worker, seconds=SECONDS) / jobs * 1_000_000


async def _multiply(connection: Any, jobs: int) -> None:
    """Copies the one delivery that the platform wrote, whatever its columns; each is ready a microsecond later."""
    columns = ", ".join(f'"{row["column_name"]}"' for row in await connection.fetch(_COLUMNS))
    await connection.execute(
        f"""
        INSERT INTO deliveries (id, run_at, {columns})
        SELECT uuidv7(), run_at - interval '1 second' + n * interval '1 microsecond', {columns}
        FROM deliveries, generate_series(2, $1::bigint) n
        """,
        jobs,
    )
