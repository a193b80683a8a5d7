"""One run: its server, its brokers, its core, and for each trial a fresh database with waiting jobs."""

import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from rich.console import Console

from benchmarks.common import durability
from benchmarks.common.environments import ready
from benchmarks.common.machine import cores, sync_ms
from benchmarks.common.processes import Worker
from benchmarks.messaging import brokers, effects
from benchmarks.messaging.catalogue import REQUIREMENTS, Contender
from benchmarks.messaging.contenders.task import Task
from groundplan.core.errors import ConfigurationError
from groundplan.settings import load
from groundplan.testing.postgres import PostgresServer

PROJECT = '[tool.groundplan]\napp = "benchmarks.messaging.app:app"\n'
PLATFORM = {"APP_ENV": "ci", "SECRET_KEY": "a secret of this benchmark alone, long enough"}
FILL_SECONDS = 300.0
HANDLERS_A_CONNECTION = 4
"""Of ours, some of which wait for a connection while others use it; PgQueuer, for one, begins 500 at a time."""
HANDLERS_WITHOUT = 200
"""At a time, of those that need no connection."""


@dataclass(frozen=True)
class Trial:
    """Jobs are waiting; ``worker()`` starts the process that runs them."""

    contender: Contender
    task: Task
    connection: Any
    """To the trial's PostgreSQL database, as superuser; None on SQLite."""
    environment: dict[str, str]
    folder: Path
    python: Path
    core: int | None

    def process(self, name: str, *, core: int | None, module: str = "") -> Worker:
        """``fill`` or ``work`` of the contender, or a command of another module of its kind."""
        return Worker(
            f"{self.contender.name}, {name}",
            [self.python, "-m", f"benchmarks.messaging.contenders.{module or self.contender.module}", name],
            self.environment,
            folder=self.folder,
            log=self.folder / f"{name}.log",
            core=core,
        )

    def fill(self) -> None:
        with self.process("fill", core=None) as process:
            process.wait(FILL_SECONDS)

    def worker(self) -> Worker:
        return self.process("work", core=self.core)

    async def settle(self) -> None:
        """So that neither stale statistics nor the checkpoint of the filling is measured."""
        if self.connection is not None:
            await self.connection.execute("ANALYZE")
            await self.connection.execute("CHECKPOINT")


@dataclass
class Bench:
    folder: Path
    """``var/bench``."""
    postgres: PostgresServer
    console: Console
    quick: bool
    slots: int
    stack: ExitStack
    data: Path
    """Where the servers keep their files."""
    synced: float
    """Milliseconds that its disk took for a page when the run began."""
    _template: str = ""
    _brokers: dict[str, str] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        return 1 if self.quick else 3

    @property
    def core(self) -> int | None:
        """The last one, for whoever is measured."""
        return cores()[-1] if cores() else None

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False)

    def sync_ms(self) -> float:
        """How long the servers' disk takes to keep a page."""
        return sync_ms(self.data)

    async def durability(self, engine: str, broker: str = "") -> str:
        if engine == "postgresql":
            parts = [durability.of_postgresql(self.postgres)]
        else:
            with self.place("durability") as folder:
                parts = [await durability.of_sqlite(folder)]
        parts += [brokers.DURABILITY[broker]] if broker else []
        return "; ".join((*parts, f"a page reaches the disk in {self.synced:.2f} ms"))

    def broker(self, name: str) -> str:
        """The address of a broker, started when it is first asked for."""
        if name and name not in self._brokers:
            starts = {"nats": brokers.nats, "rabbitmq": brokers.rabbitmq}
            self._brokers[name] = self.stack.enter_context(starts[name](self.folder, self.say))
        return self._brokers.get(name, "")

    def refusal(self, contender: Contender) -> str:
        """Why the platform does not take the contender's broker as its QUEUE_URL; empty if it does."""
        with self.place("refusal") as folder:
            try:
                load(root=folder, environ={**PLATFORM, "QUEUE_URL": f"{contender.broker}://127.0.0.1:4222"})
            except ConfigurationError as error:
                return " ".join(error.detail.split())
        return ""

    @contextmanager
    def place(self, name: str) -> Iterator[Path]:
        """An empty folder, a project of the platform, gone afterwards."""
        folder = self.folder / "trials" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "pyproject.toml").write_text(PROJECT)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)

    @asynccontextmanager
    async def trial(
        self, contender: Contender, jobs: int, *, filled: int | None = None, skip: int = 0
    ) -> AsyncIterator[Trial]:
        """A fresh database with the contender's jobs waiting in it, or in its broker.

        ``filled`` is how many of them are sent here, where the part sees to the others itself; ``skip`` how many
        are done before the clock starts.
        """
        name = f"bench_{uuid4().hex[:12]}"
        programs = self._programs(contender.environment) if contender.environment else None
        python = programs / "python" if programs else Path(sys.executable)
        with self.place(name) as folder:
            owner, app = self._database(contender, name, folder)
            broker = self.broker(contender.broker)
            jobs = max(1, int(jobs * contender.share))
            task = Task(owner, broker, contender.kind, jobs, self.slots, skip, folder / "meter.json")
            ours = self._platform(app, broker, contender.kind) if contender.module == "ours" else {}
            postgresql = contender.engine == "postgresql"
            connection = await asyncpg.connect(_plain(self.postgres.url(name))) if postgresql else None
            try:
                if connection is not None and not ours:
                    await connection.execute(f"SET ROLE {name}_owner; {effects.POSTGRESQL}; RESET ROLE")
                first = task if filled is None else task._replace(jobs=filled)
                trial = Trial(contender, first, connection, {**first.environment(), **ours}, folder, python, self.core)
                if first.jobs:
                    trial.fill()
                yield Trial(contender, task, connection, {**task.environment(), **ours}, folder, python, self.core)
            finally:
                if connection is not None:
                    await connection.close()
                    self.postgres.drop_database(name)

    def _programs(self, environment: str) -> Path:
        return ready(self.folder, REQUIREMENTS / f"{environment}.txt", self.say)

    def _database(self, contender: Contender, name: str, folder: Path) -> tuple[str, str]:
        """As its owner and as the application see it."""
        if contender.engine == "sqlite":
            return (f"sqlite:///{folder / 'app.db'}",) * 2
        template = self._migrated() if contender.module == "ours" else None
        urls = self.postgres.create_database(name, template=template)
        return _plain(urls.owner), _plain(urls.app)

    def _migrated(self) -> str:
        """The name of a database with the platform's tables, to be copied."""
        if not self._template:
            self._template = "bench_migrated"
            urls = self.postgres.create_database(self._template)
            with self.place(self._template) as folder:
                environment = self._platform(_plain(urls.app), "") | {"DATABASE_MIGRATE_URL": _plain(urls.owner)}
                command = [sys.executable, "-m", "groundplan.cli", "migrate"]
                log = folder / "migrate.log"
                with Worker("groundplan migrate", command, environment, folder=folder, log=log, core=None) as migration:
                    migration.wait(FILL_SECONDS)
        return self._template

    def _platform(self, url: str, broker: str, kind: str = "") -> dict[str, str]:
        """As many transactions at a time as every contender; a quarter of our pool is for claims."""
        connections = self.slots + self.slots // 3
        slots = HANDLERS_WITHOUT if kind == "noop" else HANDLERS_A_CONNECTION * self.slots
        settings = {"DATABASE_URL": url, "DATABASE_POOL_SIZE": str(connections), "WORKER_SLOTS": str(slots)}
        return PLATFORM | settings | ({"QUEUE_URL": broker} if broker else {})


def _plain(url: str) -> str:
    return url.replace("postgresql+asyncpg://", "postgresql://")
