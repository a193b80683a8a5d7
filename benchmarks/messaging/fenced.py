"""Part 1, the headline: a handler writes one row in its own transaction, in one worker process."""

from benchmarks.messaging import effects
from benchmarks.messaging.bench import Bench, Contender
from benchmarks.messaging.environments import version
from benchmarks.messaging.results import Figure, median, number

JOBS, QUICK_JOBS = 10_000, 2_000
SECONDS = 300.0
SLOW = 0.3
"""The share of the jobs that a slow peer gets, so that the run ends."""
OF_BARE, AT_LEAST = 0.7, 2_000.0

BARE = Contender("bare loop", "bare_postgresql")
OURS = Contender("groundplan", "ours")
OURS_ORM = Contender("groundplan, by the ORM", "ours")


def peers() -> dict[str, Contender]:
    """By the names that PEERS knows them under; the first is the one of a quick run."""

    def named(name: str, environment: str, package: str) -> str:
        return f"{name} {version(environment, package)}"

    return {
        "pgqueuer": Contender(named("PgQueuer", "pgqueuer", "pgqueuer"), "pgqueuer_asyncpg", "pgqueuer"),
        "celery": Contender(
            f"{named('Celery', 'celery', 'celery')} + RabbitMQ", "celery_rabbitmq", "celery", broker="rabbitmq"
        ),
        "taskiq": Contender(
            f"{named('taskiq', 'taskiq', 'taskiq')} + JetStream", "taskiq_jetstream", "taskiq", broker="nats"
        ),
        "procrastinate": Contender(
            named("procrastinate", "procrastinate", "procrastinate"),
            "procrastinate_psycopg",
            "procrastinate",
            share=SLOW,
        ),
        "dbos": Contender(named("DBOS", "dbos", "dbos"), "dbos_postgresql", "dbos", share=SLOW),
    }


async def measure(bench: Bench, chosen: list[Contender]) -> list[Figure]:
    bench.say("\n[bold]The fenced path[/]: one row in a transaction of its own")
    jobs = QUICK_JOBS if bench.quick else JOBS
    contenders = [(OURS, "row"), (BARE, "row"), *((peer, "row") for peer in chosen), (OURS_ORM, "row-orm")]
    rates: dict[str, list[float]] = {contender.name: [] for contender, _ in contenders}
    durability = {contender.name: bench.durability("postgresql", contender.broker) for contender, _ in contenders}
    for turn in range(bench.rounds):
        for contender, kind in contenders[turn:] + contenders[:turn]:
            async with bench.trial(contender, kind, jobs) as trial:
                with trial.worker() as worker:
                    rate = await effects.rate(trial.connection, trial.task.jobs, worker, seconds=SECONDS)
            rates[contender.name].append(rate)
            bench.say(f"  round {turn + 1}  {contender.name}: {number(rate)} rows/s")
    return _figures(rates, durability, chosen)


def _figures(rates: dict[str, list[float]], durability: dict[str, str], chosen: list[Contender]) -> list[Figure]:
    ours, bare = median(rates[OURS.name]), median(rates[BARE.name])

    def figure(contender: Contender, against: str = "", beside: float = 0.0) -> Figure:
        value = median(rates[contender.name])
        return Figure(
            name=f"fenced row, {contender.name}",
            value=value,
            unit="rows/s",
            against=against,
            ratio=value / beside if beside else None,
            durability=durability[contender.name],
            rounds=rates[contender.name],
        )

    first = figure(OURS, BARE.name, bare)
    first.goal = f">= {OF_BARE:.0%} of the bare loop, >= {AT_LEAST:,.0f}/s"
    first.met = ours >= OF_BARE * bare and ours >= AT_LEAST
    found = [first, figure(BARE), figure(OURS_ORM, BARE.name, bare)]
    for peer in chosen:
        row = figure(peer, OURS.name, ours)
        row.goal, row.met = "groundplan is ahead", ours > median(rates[peer.name])
        found.append(row)
    return found
