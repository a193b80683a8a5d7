"""Part 2: 10,000 jobs that do nothing, from the first handler's start until the queue is empty."""

from benchmarks.common.results import Figure, median, number
from benchmarks.messaging import catalogue as who
from benchmarks.messaging.bench import Bench
from benchmarks.messaging.catalogue import Contender
from benchmarks.messaging.drained import drained

JOBS, QUICK_JOBS = 10_000, 5_000
SECONDS = 120.0
ON_POSTGRESQL, ON_SQLITE, THROUGH_NATS = 20_000.0, 30_000.0, 7_000.0


async def measure(bench: Bench, chosen: list[str]) -> list[Figure]:
    bench.say("\n[bold]No-op jobs[/]: from the first start until none is left")
    peer = [who.noop_peer()] if "pgqueuer" in chosen else []
    contenders = [who.NOOP, who.NOOP_BARE, *peer, who.NOOP_SQLITE, who.NOOP_BARE_SQLITE]
    refusal = "" if bench.quick else bench.refusal(who.NOOP_NATS)
    if not bench.quick and not refusal:
        contenders.append(who.NOOP_NATS)
    rates: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    durability = {each.name: await bench.durability(each.engine, each.broker) for each in contenders}
    for turn in range(bench.rounds):
        for contender in contenders[turn:] + contenders[:turn]:
            rate = await _rate(bench, contender)
            rates[contender.name].append(rate)
            bench.say(f"  round {turn + 1}  {contender.name}: {number(rate)} jobs/s")
    found = [_figure(each, rates, durability) for each in contenders]
    _judge(found, rates, peer)
    if refusal:
        found.append(_unavailable(refusal))
    return found


async def _rate(bench: Bench, contender: Contender) -> float:
    jobs = QUICK_JOBS if bench.quick else JOBS
    async with bench.trial(contender, jobs) as trial:
        await trial.settle()
        with trial.worker() as worker:
            return jobs / await drained(trial, worker, seconds=SECONDS)


def _figure(contender: Contender, rates: dict[str, list[float]], durability: dict[str, str]) -> Figure:
    mine = median(rates[contender.name])
    bare = {"postgresql": who.NOOP_BARE, "sqlite": who.NOOP_BARE_SQLITE}[contender.engine]
    beside = "" if contender is bare else bare.name
    return Figure(
        name=f"no-op jobs, {contender.name}",
        value=mine,
        unit="jobs/s",
        against=beside,
        ratio=mine / median(rates[bare.name]) if beside else None,
        durability=durability[contender.name],
        rounds=rates[contender.name],
    )


def _judge(found: list[Figure], rates: dict[str, list[float]], peer: list[Contender]) -> None:
    goals = {who.NOOP.name: ON_POSTGRESQL, who.NOOP_SQLITE.name: ON_SQLITE, who.NOOP_NATS.name: THROUGH_NATS}
    for figure in found:
        least = goals.get(figure.name.removeprefix("no-op jobs, "))
        if least is not None and figure.value is not None:
            figure.goal, figure.met = f">= {least:,.0f}/s", figure.value >= least
    for each in peer:
        figure = next(f for f in found if f.name.endswith(each.name))
        ours = median(rates[who.NOOP.name])
        figure.against, figure.ratio = who.NOOP.name, median(rates[each.name]) / ours
        figure.goal, figure.met = "groundplan is not behind", ours >= median(rates[each.name])


def _unavailable(refusal: str) -> Figure:
    return Figure(
        name=f"no-op jobs, {who.NOOP_NATS.name}",
        value=None,
        unit="jobs/s",
        goal=f">= {THROUGH_NATS:,.0f}/s",
        met=False,
        note=f"not available: {refusal}",
    )
