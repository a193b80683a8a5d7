"""Part 5: does a long queue slow each of its jobs down? Many waiting no-ops against few, per job, on PostgreSQL."""

from typing import Any

from benchmarks.messaging.bench import Bench
from benchmarks.messaging.catalogue import NOOP
from benchmarks.messaging.drained import drained
from benchmarks.messaging.results import Figure, median, number

FEW, MANY, QUICK_MANY = 10_000, 1_000_000, 100_000
SECONDS = 1800.0
SLOWER = 0.25

_COLUMNS = """
SELECT column_name FROM information_schema.columns
WHERE table_name = 'deliveries' AND table_schema = 'public' AND column_name NOT IN ('id', 'run_at')
    AND is_identity = 'NO' AND is_generated = 'NEVER' AND coalesce(column_default, '') NOT LIKE 'nextval%'
"""


async def measure(bench: Bench, chosen: list[str]) -> list[Figure]:
    bench.say("\n[bold]A long queue[/]: time per job")
    durability = await bench.durability("postgresql")
    many = QUICK_MANY if bench.quick else MANY
    taken: dict[int, list[float]] = {FEW: [], many: []}
    for turn in range(bench.rounds):
        for jobs in (FEW, many) if turn % 2 == 0 else (many, FEW):
            micros = await _micros(bench, jobs)
            taken[jobs].append(micros)
            bench.say(f"  round {turn + 1}  {jobs:,} waiting: {number(micros)} us a job")
    few, long = median(taken[FEW]), median(taken[many])
    return [
        _figure(FEW, few, taken, durability),
        Figure(
            name=f"a no-op job, {many:,} waiting",
            value=long,
            unit="us",
            against=f"{FEW:,} waiting",
            ratio=long / few,
            goal=f"< {SLOWER:.0%} slower",
            met=long < (1 + SLOWER) * few,
            durability=durability,
            rounds=taken[many],
        ),
    ]


def _figure(jobs: int, value: float, taken: dict[int, list[float]], durability: str) -> Figure:
    name = f"a no-op job, {jobs:,} waiting"
    return Figure(name=name, value=value, unit="us", durability=durability, rounds=taken[jobs])


async def _micros(bench: Bench, jobs: int) -> float:
    async with bench.trial(NOOP, jobs, filled=1) as trial:
        await _multiply(trial.connection, jobs)
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
