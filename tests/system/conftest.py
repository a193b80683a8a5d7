"""A seeded shop for tests of the whole platform, copied for each test so that each may break its own."""

import asyncio
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from groundplan.cli.project import find_project
from groundplan.cli.seed import seed_database
from groundplan.data.database import migrate
from groundplan.settings import Settings, load
from groundplan.testing.platform import PlatformProcess
from groundplan.testing.postgres import PostgresServer
from groundplan.testing.servers import Server
from groundplan.wiring import application_role, histories

ROOT = Path(__file__).parents[2]
SECRET = "a secret that only this test run knows"

Platform = Callable[..., PlatformProcess]


class Roles(NamedTuple):
    """What production is made of, each a process of its own."""

    apis: list[PlatformProcess]
    worker: PlatformProcess
    web: PlatformProcess


def _prepare(settings: Settings) -> None:
    app = find_project(ROOT).app()

    async def prepare() -> None:
        url = settings.database_migrate_url or settings.database_url
        await migrate.upgrade(url, histories(app), app_role=application_role(settings))
        await seed_database(settings, app)

    asyncio.run(prepare())


def _settings(folder: Path, environment: Mapping[str, str]) -> Settings:
    return load(root=folder, environ={"APP_ENV": "ci", "SECRET_KEY": SECRET, **environment}).settings


@pytest.fixture(scope="session")
def seeded_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeded")
    _prepare(_settings(folder, {"DATABASE_URL": f"sqlite:///{folder}/app.db"}))
    return folder / "app.db"


@pytest.fixture(scope="session")
def seeded_postgres(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a seeded database, to be used as a template."""
    name = f"seeded_{uuid4().hex}"
    urls = postgres.create_database(name)
    folder = tmp_path_factory.mktemp("seeded")
    _prepare(_settings(folder, {"DATABASE_URL": urls.app, "DATABASE_MIGRATE_URL": urls.owner}))
    return name


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder of the test's own: the real app, its own ``var``."""
    for name in ("pyproject.toml", "config"):
        source, target = ROOT / name, tmp_path / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    return tmp_path


@pytest.fixture(params=["sqlite", "postgresql"])
def environment(request: pytest.FixtureRequest, project: Path) -> Iterator[dict[str, str]]:
    """What a process of this test is told: its database, once on each engine."""
    if request.param == "sqlite":
        (project / "var").mkdir()
        shutil.copy(request.getfixturevalue("seeded_sqlite"), project / "var" / "app.db")
        yield {"DATABASE_URL": f"sqlite:///{project}/var/app.db"}
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"shop_{uuid4().hex}"
    urls = server.create_database(name, template=request.getfixturevalue("seeded_postgres"))
    yield {"DATABASE_URL": urls.app}
    server.drop_database(name)


@pytest.fixture
def superuser(request: pytest.FixtureRequest, environment: dict[str, str]) -> str:
    """The address of the test's database for one who sees past row-level security; empty where there is none."""
    url = environment["DATABASE_URL"]
    server: PostgresServer = request.getfixturevalue("postgres")
    return "" if url.startswith("sqlite") else server.url(url.rpartition("/")[2])


@pytest.fixture
def platform(platform_on: Platform, environment: dict[str, str]) -> Platform:
    """Starts processes of the platform on the test's database."""
    return lambda **more: platform_on(environment, **more)


@pytest.fixture
def platform_on(project: Path) -> Iterator[Platform]:
    """Starts processes in an environment; whatever still runs at the end is killed."""
    started: list[PlatformProcess] = []

    def start(environment: Mapping[str, str], *, role: str = "all", **more: Any) -> PlatformProcess:
        process = PlatformProcess(project, {"SECRET_KEY": SECRET, **environment}, role=role, **more)
        started.append(process)
        return process.start()

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def roles(postgres: PostgresServer, seeded_postgres: str, valkey: Server, platform_on: Platform) -> Roles:
    """Web in front of two instances of the API, and a worker, on PostgreSQL and Valkey."""
    urls = postgres.create_database(f"shop_{uuid4().hex}", template=seeded_postgres)
    shared = {"DATABASE_URL": urls.app, "REDIS_URL": valkey.url}
    apis = [platform_on(shared, role="api") for _ in range(2)]
    behind = {**shared, "API_URL": ",".join(api.url for api in apis)}
    return Roles(apis, platform_on(behind, role="worker"), platform_on(behind, role="web"))
