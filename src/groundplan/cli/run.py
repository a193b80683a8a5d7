"""``groundplan run``: serve one role until a signal."""

import asyncio
import itertools
import os
import signal
import socket
import sys
import time
from typing import Any

from groundplan.cli.project import Project, find_project
from groundplan.cli.seed import accounts_of, seed_database
from groundplan.core.clock import system_random
from groundplan.core.errors import ConfigurationError, Unavailable
from groundplan.core.retry import Retry
from groundplan.data.database import migrate
from groundplan.settings import Settings
from groundplan.wiring import Role, application_role, build, histories, open_database

PARENT_PIPE = "GROUNDPLAN_PARENT_PIPE"
AGAIN = Retry(base=0.5, cap=5.0)


def run(role: Role, *, port: int | None, host: str | None, prepare: bool) -> int:
    started = time.monotonic()
    project = find_project()
    settings = project.settings(port=port, host=host).settings
    asyncio.run(_run(project, settings, role, prepare=prepare, started=started))
    return 0


async def _run(project: Project, settings: Settings, role: Role, *, prepare: bool, started: float) -> None:
    from groundplan.backend.serve import serve

    app = project.app()
    if role != "worker":
        _check_port(settings)
    process = build(settings, app, role, pretty=settings.env == "local" and sys.stdout.isatty())
    await _await_database(settings, process.log)
    if prepare:
        url = settings.database_migrate_url or settings.database_url
        for line in await migrate.upgrade(url, histories(app), app_role=application_role(settings)):
            print(f"Migrated {line}", flush=True)
        await seed_database(settings, app)
    await _check_migrated(settings, project)
    _stop_with_parent()

    def ready() -> None:
        process.log.info("ready", role=role, port=settings.port, seconds=round(time.monotonic() - started, 2))
        if prepare and role == "all":
            _greet(settings, project, time.monotonic() - started)

    await serve(
        process.application,
        process.parts,
        process.health,
        process.log,
        host=settings.host,
        port=settings.port,
        readiness_seconds=settings.readiness_seconds,
        drain_seconds=settings.drain_seconds,
        header_seconds=settings.header_seconds,
        ready=ready,
    )


async def _await_database(settings: Settings, log: Any) -> None:
    """One that starts or fails over is asked again, less and less often. Raises Unavailable when it took too long."""
    database = open_database(settings, exclusive=False)
    give_up, random = time.monotonic() + settings.database_wait_seconds, system_random()
    try:
        for attempt in itertools.count(1):
            try:
                await database.ping()
                return
            except (Unavailable, OSError) as error:
                left = give_up - time.monotonic()
                if left <= 0:
                    raise Unavailable(
                        f"{database.runs_on} could not be used within {settings.database_wait_seconds} s. {error} "
                        "See that it runs and that DATABASE_URL names it."
                    ) from error
                log.warning("waiting for the database", database=database.runs_on, detail=str(error), left_s=int(left))
                await asyncio.sleep(min(left, AGAIN.delay(attempt, random)))
    finally:
        await database.close()


def _stop_with_parent() -> None:
    """Under `groundplan dev`, stdin is a pipe that closes with it, however it ends; then this process must not stay."""
    if not os.environ.get(PARENT_PIPE):
        return

    def heard() -> None:
        if not os.read(0, 1):
            os.kill(os.getpid(), signal.SIGTERM)

    asyncio.get_running_loop().add_reader(0, heard)


def _check_port(settings: Settings) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise ConfigurationError(
                f"Port {settings.port} cannot be used: {error.strerror}. Stop what listens there, or set APP_PORT."
            ) from error


async def _check_migrated(settings: Settings, project: Project) -> None:
    known = histories(project.app())
    behind = [row for row in await migrate.status(settings.database_url, known) if row.current != row.head]
    if behind:
        rows = ", ".join(f"{row.history} is at {row.current or 'nothing'}, needs {row.head}" for row in behind)
        raise ConfigurationError(f"The database is not at this release: {rows}. Run `groundplan migrate` first.")


def _greet(settings: Settings, project: Project, seconds: float) -> None:
    home = f"http://localhost:{settings.port}"
    lines = [
        "",
        f"  {project.app().name} is up after {seconds:.1f} s",
        "",
        f"  Shop      {home}/",
        f"  Console   {home}/console",
        f"  API docs  {home}/docs",
        "",
        *accounts_of(project.app()),
    ]
    print("\n".join(lines), flush=True)
