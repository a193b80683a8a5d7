"""PostgreSQL restarts, crashes and drops its connections while messages are sent and handled."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundplan.testing.postgres import PostgresServer
from groundplan.testing.servers import Server
from tests.chaos.conftest import Sites, make_chaos_templates
from tests.chaos.scale import FULL, full_or
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


_BREAK_OFF = """SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"""
