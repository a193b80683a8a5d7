"""A site for each backend and seed; every outcome is told at the end (tests/chaos/report.py)."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from groundplan.testing.postgres import PostgresServer
from groundplan.testing.rabbitmq import RabbitServer
from groundplan.testing.servers import NatsServer, Server, ValkeyServer
from groundplan.wiring import histories
from tests.chaos.app import app, feature
from tests.chaos.processes import fork_server
from tests.chaos.producer import subscribe
from tests.chaos.report import OUTCOME
from tests.chaos.scale import SCALE
from tests.chaos.site import Outcome, Site
from tests.databases import Templates, copy_of, make_templates

SERVERS: dict[str, type[Server]] = {"nats": NatsServer, "valkey": ValkeyServer, "rabbitmq": RabbitServer}
"""The brokers; the other backends are the database queue on each engine."""
HERE = Path(__file__).parent

Sites = Callable[..., Site]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", SCALE.seeds)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.chaos)
            if "rabbitmq" in item.name:
                item.add_marker(pytest.mark.system_packages)


def make_chaos_templates(folder: Path, server: PostgresServer) -> Templates:
    return make_templates(folder, server, histories(app))


@pytest.fixture(scope="session")
def fork() -> ForkServerContext:
    return fork_server()


@pytest.fixture(scope="session")
def chaos_templates(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return make_chaos_templates(tmp_path_factory.mktemp("chaos"), postgres)


@pytest.fixture
def sites(
    request: pytest.FixtureRequest, fork: ForkServerContext, tmp_path: Path, seed: int
) -> Iterator[Callable[[str, str, Server | None], Site]]:
    """Makes sites; what runs on them at the end is killed."""
    made: list[Site] = []

    def record(outcome: Outcome) -> None:
        request.node.user_properties.append((OUTCOME, asdict(outcome)))

    def make(backend: str, database_url: str, broker: Server | None) -> Site:
        site = Site(fork, tmp_path, backend, database_url, broker, seed, record)
        subscribe(database_url, feature.handlers)
        made.append(site)
        return site

    yield make
    for site in made:
        site.close()


@pytest.fixture
def broker(backend: str) -> Iterator[Server | None]:
    """A server of the test's own, to be stopped and killed as it likes; None for the database queue."""
    if backend not in SERVERS:
        yield None
        return
    with SERVERS[backend]() as server:
        yield server


@pytest.fixture
def site(
    sites: Sites,
    backend: str,
    broker: Server | None,
    chaos_templates: Templates,
    postgres: PostgresServer,
    tmp_path: Path,
) -> Iterator[Site]:
    engine = "sqlite" if backend == "sqlite" else "postgresql"
    url = copy_of(engine, chaos_templates, tmp_path, postgres).app
    yield sites(backend, url, broker)
    if engine == "postgresql":
        postgres.drop_database(url.rpartition("/")[2])
