"""Part 4: what publishing one event adds to a transaction with one ORM insert; in turns, in one process."""

import json

from benchmarks.common.results import Figure, median, number
from benchmarks.messaging.bench import Bench
from benchmarks.messaging.catalogue import NOOP, NOOP_SQLITE, Contender

TRANSACTIONS, QUICK_TRANSACTIONS = 3_000, 300
SECONDS = 300.0
MOST_MICROS = 100.0
ON = (("PostgreSQL", NOOP), ("SQLite", NOOP_SQLITE))


async def measure(bench: Bench, chosen: list[str]) -> list[Figure]:
    bench.say("\n[bold]Publishing one event[/]: what it adds to a transaction")
    plain: dict[str, list[float]] = {engine: [] for engine, _ in ON}
    added: dict[str, list[float]] = {engine: [] for engine, _ in ON}
    for turn in range(bench.rounds):
        for engine, contender in ON if turn % 2 == 0 else ON[::-1]:
            without, beside = await _micros(bench, contender)
            plain[engine].append(without)
            added[engine].append(beside - without)
            bench.say(
                f"  round {turn + 1}  {engine}: {number(without)} us without, {number(beside - without)} us more with"
            )
    return [
        Figure(
            name=f"publishing one event adds, {engine}",
            value=median(added[engine]),
            unit="us",
            against=f"the transaction: {number(median(plain[engine]))} us",
            ratio=median(added[engine]) / median(plain[engine]),
            goal=f"<= {MOST_MICROS:g} us",
            met=median(added[engine]) <= MOST_MICROS,
            durability=await bench.durability(contender.engine),
            rounds=added[engine],
        )
        for engine, contender in ON
    ]


async def _micros(bench: Bench, contender: Contender) -> tuple[float, float]:
    """The median transaction without and with an event."""
    async with bench.trial(contender, QUICK_TRANSACTIONS if bench.quick else TRANSACTIONS, filled=0) as trial:
        await trial.settle()
        with trial.process("publish", core=trial.core, module="ours_sender") as sender:
            sender.wait(SECONDS)
        taken = json.loads(trial.task.meter.read_text())
        return median(taken["without"]), median(taken["with"])
