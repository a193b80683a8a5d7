"""Fixtures that every test may ask for."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from groundplan.data.database.database import Database
from groundplan.data.database.migrate import PLATFORM
from groundplan.testing.postgres import DatabaseUrls, PostgresServer
from groundplan.testing.rabbitmq import RabbitServer
from groundplan.testing.servers import NatsServer, ValkeyServer
from tests.databases import ENGINES, SHOP, Templates, a_copy, make_templates, opened

pytest_plugins = ["tests.chaos.report"]


def pytest_configure() -> None:
    """Whoever starts us in the background has an interrupt ignored, by us and by what tests start and interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Many tests wait for servers and leases rather than for a processor; each process has servers of its own."""
    return min(8, 2 * (os.cpu_count() or 1))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Everything asynchronous runs on asyncio, as in production."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One real server for the whole run, started when the first test asks for it."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def nats() -> Iterator[NatsServer]:
    with NatsServer() as server:
        yield server


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitServer]:
    with RabbitServer() as server:
        yield server


@pytest.fixture(
    params=["database", "nats", "valkey", pytest.param("rabbitmq", marks=pytest.mark.system_packages)],
)
def queue_url(request: pytest.FixtureRequest) -> str:
    """Who hands out deliveries: a test that asks for this one runs with each."""
    if request.param == "database":
        return "database"
    url: str = request.getfixturevalue(request.param).url
    return url


@pytest.fixture
def postgres_urls(postgres: PostgresServer) -> Iterator[DatabaseUrls]:
    """An empty PostgreSQL database of the test's own, seen by its owner and by the application's role."""
    name = f"test_{uuid4().hex}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture
def sqlite_urls(tmp_path: Path) -> DatabaseUrls:
    """An empty SQLite database of the test's own; SQLite knows no roles, so both see the same."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'app.db'}"
    return DatabaseUrls(owner=url, app=url)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine_urls(request: pytest.FixtureRequest) -> DatabaseUrls:
    """An empty database, once on each engine: a test that asks for this one runs twice."""
    fixture = "sqlite_urls" if request.param == "sqlite" else "postgres_urls"
    urls: DatabaseUrls = request.getfixturevalue(fixture)
    return urls


@pytest.fixture(scope="session")
def templates(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """The platform's tables on each engine, to be copied."""
    return make_templates(tmp_path_factory.mktemp("templates"), postgres)


@pytest.fixture(params=ENGINES)
def migrated_urls(
    request: pytest.FixtureRequest, templates: Templates, tmp_path: Path, postgres: PostgresServer
) -> Iterator[DatabaseUrls]:
    """A database with the platform's tables, once on each engine."""
    with a_copy(request.param, templates, tmp_path, postgres) as urls:
        yield urls


@pytest.fixture(scope="session")
def shop_templates(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """The platform's tables and the shop's."""
    return make_templates(tmp_path_factory.mktemp("shop"), postgres, [PLATFORM, SHOP])


@pytest.fixture(params=ENGINES)
def shop_urls(
    request: pytest.FixtureRequest, shop_templates: Templates, tmp_path: Path, postgres: PostgresServer
) -> Iterator[DatabaseUrls]:
    """A database with the shop's tables too, once on each engine."""
    with a_copy(request.param, shop_templates, tmp_path, postgres) as urls:
        yield urls


@pytest.fixture
async def database(migrated_urls: DatabaseUrls) -> AsyncIterator[Database]:
    """Open, as the application sees it."""
    async with opened(migrated_urls.app) as database:
        yield database
