"""Part 1, the headline: a handler writes one row in its own transaction, in one worker process."""

from benchmarks.common.results import Figure, median, number
from benchmarks.messaging import effects
from benchmarks.messaging.bench import Bench
from benchmarks.messaging.catalogue import BARE, OURS, OURS_CORE, OURS_ORM, Contender, peers

JOBS, QUICK_JOBS = 10_000, 2_000
SECONDS = 300.0
OF_BARE, AT_LEAST = 0.7, 2_000.0


async def measure(bench: Bench, chosen: list[str]) -> list[Figure]:
    bench.say("\n[bold]The fenced path[/]: one row in a transaction of its own")
    beside = [contender for name in chosen for contender in peers()[name]]
    contenders = [OURS, BARE, *beside, *([] if bench.quick else [OURS_CORE, OURS_ORM])]
    rates: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    durability = {each.name: await bench.durability(each.engine, each.broker) for each in contenders}
    for turn in range(bench.rounds):
        for contender in contenders[turn:] + contenders[:turn]:
            async with bench.trial(contender, QUICK_JOBS if bench.quick else JOBS) as trial:
                await trial.settle()
                with trial.worker() as worker:
                    rate = await effects.rate(trial.connection, trial.task.jobs, worker, seconds=SECONDS)
            rates[contender.name].append(rate)
            bench.say(f"  round {turn + 1}  {contender.name}: {number(rate)} rows/s")
    return [_figure(each, rates, durability[each.name]) for each in contenders]


def _figure(contender: Contender, rates: dict[str, list[float]], durability: str) -> Figure:
    mine, ours, bare = (median(rates[each.name]) for each in (contender, OURS, BARE))
    figure = Figure(
        name=f"fenced row, {contender.name}",
        value=mine,
        unit="rows/s",
        durability=durability,
        rounds=rates[contender.name],
    )
    if contender is OURS:
        figure.goal = f">= {OF_BARE:.0%} of bare, >= {AT_LEAST:,.0f}/s"
        figure.met = ours >= OF_BARE * bare and ours >= AT_LEAST
    if contender in (OURS, OURS_CORE, OURS_ORM):
        figure.against, figure.ratio = BARE.name, mine / bare
    elif contender is not BARE:
        figure.against, figure.ratio = OURS.name, mine / ours
        figure.goal, figure.met = "groundplan is ahead", ours > mine
    return figure
