"""Part 3: from just before the commit that sends a job to the start of its handler, at a steady 50 jobs a second."""

from contextlib import ExitStack
from statistics import quantiles

from benchmarks.common.machine import cores
from benchmarks.common.results import Figure, median, number
from benchmarks.messaging.bench import Bench
from benchmarks.messaging.catalogue import NOOP, NOOP_SQLITE, Contender

RATE = 50
SECONDS, QUICK_SECONDS = 20, 3
START_SECONDS = 60.0
IN_PROCESS_MS, ACROSS_MS = 5.0, 10.0

WAYS = (
    ("in process, PostgreSQL", NOOP, "all", IN_PROCESS_MS),
    ("in process, SQLite", NOOP_SQLITE, "all", IN_PROCESS_MS),
    ("across processes, PostgreSQL", NOOP, "worker", ACROSS_MS),
)


async def measure(bench: Bench, chosen: list[str]) -> list[Figure]:
    bench.say(f"\n[bold]From the commit to the handler's start[/]: {RATE} jobs/s")
    p50: dict[str, list[float]] = {way[0]: [] for way in WAYS}
    p99: dict[str, list[float]] = {way[0]: [] for way in WAYS}
    synced = []
    ways = [way for way in WAYS if way[1] is NOOP or not bench.quick]
    for turn in range(bench.rounds):
        synced.append(bench.sync_ms())
        for name, contender, role, _ in ways[turn:] + ways[:turn]:
            samples = await _samples(bench, contender, role)
            cuts = quantiles(samples, n=100, method="inclusive")
            p50[name].append(cuts[49])
            p99[name].append(cuts[98])
            bench.say(f"  round {turn + 1}  {name}: p50 {number(cuts[49])} ms, p99 {number(cuts[98])} ms")
    disk = median(synced)
    found = []
    for name, contender, _, most in ways:
        durability = await bench.durability(contender.engine)
        for part, rounds in (("p50", p50[name]), ("p99", p99[name])):
            figure = Figure(
                name=f"enqueue to start, {name}, {part}",
                value=median(rounds),
                unit="ms",
                against=f"a page to disk: {number(disk)} ms",
                ratio=median(rounds) / disk,
                durability=durability,
                rounds=rounds,
            )
            if part == "p99":
                figure.goal, figure.met = f"<= {most:g} ms", median(rounds) <= most
            found.append(figure)
    return found


async def _samples(bench: Bench, contender: Contender, role: str) -> list[float]:
    """In milliseconds. The sender has a core of its own if there is a worker beside it."""
    seconds = QUICK_SECONDS if bench.quick else SECONDS
    async with bench.trial(contender, RATE * seconds, filled=0) as trial:
        trial.environment.update({"BENCH_RATE": str(RATE), "BENCH_ROLE": role})
        with ExitStack() as stack:
            worker = stack.enter_context(trial.worker()) if role == "worker" else None
            core = cores()[0] if worker and cores() else trial.core
            sender = stack.enter_context(trial.process("send", core=core, module="ours_sender"))
            sender.wait(seconds + START_SECONDS)
            if worker:
                worker.check()
        return [float(line) * 1000 for line in trial.task.meter.read_text().split()]
