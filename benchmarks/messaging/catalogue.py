"""Who is measured, and how each is run."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.environments import version

REQUIREMENTS = Path(__file__).parent / "requirements"


@dataclass(frozen=True)
class Contender:
    name: str
    module: str
    """Under ``contenders``; run with ``fill`` and then with ``work``."""
    kind: str = "row"
    environment: str = ""
    """Its requirements; our own environment if empty."""
    broker: str = ""
    engine: str = "postgresql"
    table: str = ""
    """Where its waiting jobs are; a table that is empty once every job is acknowledged."""
    share: float = 1.0
    """Of the jobs of a trial, for one that would take too long."""


SLOW, SLOWEST = 0.3, 0.1

OURS = Contender("groundplan", "ours")
OURS_CORE = Contender("groundplan, row by Core", "ours", "row-core")
OURS_ORM = Contender("groundplan, row by the ORM", "ours", "row-orm")
BARE = Contender("bare loop", "bare_postgresql")

NOOP = Contender("groundplan on PostgreSQL", "ours", "noop", table="deliveries")
NOOP_SQLITE = Contender("groundplan on SQLite", "ours", "noop", engine="sqlite", table="deliveries")
NOOP_NATS = Contender("groundplan through NATS", "ours", "noop", broker="nats", table="deliveries")
NOOP_BARE = Contender("bare loop on PostgreSQL", "bare_postgresql", "noop", table="jobs")
NOOP_BARE_SQLITE = Contender("bare loop on SQLite", "bare_sqlite", "noop", engine="sqlite", table="jobs")


def peers() -> dict[str, list[Contender]]:
    """By the names that PEERS knows them under; the first is the one of a quick run."""
    return {
        "pgqueuer": [_peer("PgQueuer", "pgqueuer", "pgqueuer_asyncpg")],
        "celery": [_peer("Celery", "celery", "celery_rabbitmq", broker="rabbitmq")],
        "taskiq": [_peer("taskiq", "taskiq", "taskiq_jetstream", broker="nats")],
        "procrastinate": [_peer("procrastinate", "procrastinate", "procrastinate_psycopg", share=SLOW)],
        "dbos": [
            _peer("DBOS", "dbos", "dbos_postgresql", share=SLOW),
            _peer("DBOS", "dbos", "dbos_postgresql", kind="row-exact", how=", exactly once", share=SLOWEST),
        ],
    }


def noop_peer() -> Contender:
    return _peer("PgQueuer", "pgqueuer", "pgqueuer_asyncpg", kind="noop", table="pgqueuer")


def _peer(
    title: str,
    package: str,
    module: str,
    *,
    how: str = "",
    kind: str = "row",
    broker: str = "",
    table: str = "",
    share: float = 1.0,
) -> Contender:
    """In the environment that is named like its package."""
    name = f"{title} {version(REQUIREMENTS / f'{package}.txt', package)}{_ON[broker]}{how}"
    return Contender(name, module, kind, environment=package, broker=broker, table=table, share=share)


_ON = {"": "", "rabbitmq": " on RabbitMQ", "nats": " on JetStream"}
