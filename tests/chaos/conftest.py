"""A site for each backend and seed; every outcome is told at the end."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

from groundplan.testing.postgres import PostgresServer
from groundplan.testing.rabbitmq import RabbitServer
from groundplan.testing.servers import NatsServer, Server, ValkeyServer
from groundplan.wiring import histories
from tests.chaos.app import app, feature
from tests.chaos.processes import ROOT, fork_server
from tests.chaos.producer import subscribe
from tests.chaos.scale import FULL, SCALE
from tests.chaos.site import Outcome, Site
from tests.databases import Templates, copy_of, make_templates

SERVERS: dict[str, type[Server]] = {"nats": NatsServer, "valkey": ValkeyServer, "rabbitmq": RabbitServer}
"""The brokers; the other backends are the database queue on each engine."""
HERE = Path(__file__).parent
PROPERTY = "chaos outcome"
"""What a test's report calls them: it gets to the end from whichever process ran the test."""

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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    outcomes = sorted(_outcomes(terminalreporter), key=lambda each: (each["scenario"], each["backend"], each["seed"]))
    if not outcomes:
        return
    terminalreporter.section(f"chaos, seeds {', '.join(map(str, SCALE.seeds))}")
    columns = [*outcomes[0]]
    rows = [columns, *([str(value) for value in each.values()] for each in outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(columns))]
    for row in rows:
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    if FULL:
        (ROOT / "var").mkdir(exist_ok=True)
        (ROOT / "var" / "chaos.json").write_text(json.dumps(outcomes, indent=2) + "\n")


def _outcomes(terminalreporter: pytest.TerminalReporter) -> Iterator[dict[str, Any]]:
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and report.when == "call":
                found: list[tuple[str, Any]] = report.user_properties
                yield from (outcome for name, outcome in found if name == PROPERTY)


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
        request.node.user_properties.append((PROPERTY, asdict(outcome)))

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
