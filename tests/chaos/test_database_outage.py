"""PostgreSQL restarts, crashes and drops its connections, or is away, while messages are sent and handled."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundplan.testing.postgres import PostgresServer
from groundplan.testing.servers import Server
from tests.chaos.app import LEDGER
from tests.chaos.conftest import Sites, make_chaos_templates
from tests.chaos.scale import FULL, SCALE, full_or
from tests.chaos.site import Site
from tests.databases import copy_of

RATE = 100
AT_LEAST = 40
BROKEN_OFF = 20 if FULL else 5


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """Nobody else's, to be restarted."""
    with PostgresServer(durable=True) as server:
        yield server


@pytest.fixture
def site(sites: Sites, backend: str, broker: Server | None, own_postgres: PostgresServer, tmp_path: Path) -> Site:
    templates = make_chaos_templates(tmp_path, own_postgres)
    return sites(backend, copy_of("postgresql", templates, tmp_path, own_postgres).app, broker)


@pytest.mark.parametrize("backend", full_or(["postgresql"], ["postgresql", "nats", "valkey", "rabbitmq"]))
def test_the_database_goes_away_under_load(site: Site, own_postgres: PostgresServer) -> None:
    workers = [site.worker().until_ready(), site.worker().until_ready()]
    with site.producer.load(RATE) as load:
        load.until(AT_LEAST)
        for crash in (False, True):
            own_postgres.restart(crash=crash)
            load.until(AT_LEAST)
        for _ in range(BROKEN_OFF):
            own_postgres.run(_BREAK_OFF)
            load.until(AT_LEAST // 4)
        back = time.monotonic()
    site.finish("database restarted, crashed, cut off", kills=2 + BROKEN_OFF, since=back)
    assert [worker.stop() for worker in workers] == [0, 0]


@pytest.mark.parametrize("backend", full_or(["postgresql"], ["postgresql", "nats", "valkey", "rabbitmq"]))
def test_a_worker_is_told_to_stop_while_the_database_is_away(site: Site, own_postgres: PostgresServer) -> None:
    worker = site.worker(slots=4).until_ready()
    site.producer.send(8, jobs_only=True, seconds=1.0)
    site.until(lambda: (site.folder / LEDGER).exists())
    with own_postgres.away(crash=True):
        assert worker.stop() == 0
    back = time.monotonic()
    heir = site.worker()
    site.finish("stopped without a database", kills=1, since=back)
    assert heir.stop() == 0


@pytest.mark.parametrize("backend", full_or(["postgresql"], ["postgresql", "nats", "valkey", "rabbitmq"]))
def test_a_worker_is_started_while_the_database_is_away(site: Site, own_postgres: PostgresServer) -> None:
    site.producer.send(SCALE.messages)
    with own_postgres.away():
        worker = site.worker()
        worker.until_it_says("waiting for the database")
    back = time.monotonic()
    site.finish("started without a database", kills=0, since=back)
    assert worker.stop() == 0


_BREAK_OFF = """SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"""
