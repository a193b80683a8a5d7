"""One run: its server, its brokers, its core, and a fresh database with waiting jobs for each trial."""

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

from benchmarks.messaging import brokers, effects
from benchmarks.messaging.contenders.task import Task
from benchmarks.messaging.environments import ready
from benchmarks.messaging.machine import cores, sync_ms
from benchmarks.messaging.processes import Worker
from groundplan.testing.postgres import PostgresServer

PROJECT = '[tool.groundplan]\napp = "benchmarks.messaging.app:app"\n'
FILL_SECONDS = 300.0


@dataclass(frozen=True)
class Contender:
    name: str
    module: str
    """Under ``contenders``; run with ``fill`` and then with ``work``."""
    environment: str = ""
    """Its requirements; our own environment if empty."""
    broker: str = ""
    waiting: str = ""
    """A statement that says whether jobs are left."""
    engine: str = "postgresql"
    share: float = 1.0
    """Of the jobs of a trial, for one that would take too long."""


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

    def process(self, name: str, *arguments: str, core: int | None = None) -> Worker:
        return Worker(
            f"{self.contender.name}, {name}",
            [self.python, "-m", *arguments],
            self.environment,
            folder=self.folder,
            log=self.folder / f"{name}.log",
            core=core,
        )

    def fill(self) -> None:
        module = f"benchmarks.messaging.contenders.{self.contender.module}"
        with self.process("fill", module, "fill") as process:
            process.wait(FILL_SECONDS)

    def worker(self) -> Worker:
        return self.process("work", f"benchmarks.messaging.contenders.{self.contender.module}", "work", core=self.core)


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

    def broker(self, name: str) -> str:
        """The address of a broker, started when it is first asked for."""
        if name and name not in self._brokers:
            starts = {"nats": brokers.nats, "rabbitmq": brokers.rabbitmq}
            self._brokers[name] = self.stack.enter_context(starts[name](self.folder, self.say))
        return self._brokers.get(name, "")

    def sync(self) -> str:
        return f"the data disk keeps a page in {sync_ms(self.data):.2f} ms"

    def durability(self, engine: str, broker: str = "") -> str:
        """What an acknowledged write has survived, as the engine itself tells it."""
        parts = [self._postgresql() if engine == "postgresql" else self._sqlite()]
        parts += [_BROKER_DURABILITY[broker]] if broker else []
        return "; ".join((*parts, self.sync()))

    def _postgresql(self) -> str:
        names = ("fsync", "synchronous_commit", "full_page_writes", "wal_sync_method")
        values = [self.postgres.run(f"SHOW {name}") for name in names]
        shown = ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))
        return f"PostgreSQL {self.postgres.run('SHOW server_version').split()[0]}: {shown}"

    def _sqlite(self) -> str:
        from groundplan.data.database import sqlite

        found = next((pragma for pragma in sqlite._PRAGMAS if pragma.startswith("synchronous")), "synchronous unknown")
        return f"SQLite: journal_mode=WAL, {found}"

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
    async def trial(self, contender: Contender, kind: str, jobs: int) -> AsyncIterator[Trial]:
        """A fresh database with the contender's jobs waiting in it, or in its broker."""
        name = f"bench_{uuid4().hex[:12]}"
        programs = ready(self.folder, contender.environment, self.say) if contender.environment else None
        python = programs / "python" if programs else Path(sys.executable)
        with self.place(name) as folder:
            urls = self._database(contender, name, folder)
            broker = self.broker(contender.broker)
            task = Task(urls[0], broker, kind, int(jobs * contender.share), self.slots, folder / "meter.json")
            environment = task.environment()
            if contender.module == "ours":
                environment |= self._platform(urls[1], broker)
            postgresql = contender.engine == "postgresql"
            connection = await asyncpg.connect(_plain(self.postgres.url(name))) if postgresql else None
            try:
                if connection is not None and contender.module != "ours":
                    await connection.execute(f"SET ROLE {name}_owner; {effects.POSTGRESQL}; RESET ROLE")
                trial = Trial(contender, task, connection, environment, folder, python, self.core)
                trial.fill()
                if connection is not None:
                    await connection.execute("ANALYZE")
                    await connection.execute("CHECKPOINT")
                yield trial
            finally:
                if connection is not None:
                    await connection.close()
                    self.postgres.drop_database(name)

    def _database(self, contender: Contender, name: str, folder: Path) -> tuple[str, str]:
        """As its owner and as the application see it."""
        if contender.engine == "sqlite":
            url = f"sqlite:///{folder / 'app.db'}"
            return url, url
        urls = self.postgres.create_database(name)
        return _plain(urls.owner), _plain(urls.app)

    def _platform(self, url: str, broker: str) -> dict[str, str]:
        return {
            "APP_ENV": "ci",
            "SECRET_KEY": "a secret of this benchmark alone, long enough",
            "DATABASE_URL": url,
            "DATABASE_POOL_SIZE": str(self.slots + 2),
            "WORKER_SLOTS": str(self.slots),
        } | ({"QUEUE_URL": broker} if broker else {})


_BROKER_DURABILITY = {
    "nats": "JetStream: file store, the server's default sync_interval of 2 minutes",
    "rabbitmq": "RabbitMQ: durable queue, persistent messages",
}


def _plain(url: str) -> str:
    return url.replace("postgresql+asyncpg://", "postgresql://")
