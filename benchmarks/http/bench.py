"""One run: its PostgreSQL, its load, its cores."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rich.console import Console

from benchmarks.common import durability
from benchmarks.common.machine import sync_ms
from benchmarks.http.load import Load
from groundplan.testing.postgres import PostgresServer


@dataclass
class Bench:
    folder: Path
    """``var/bench``."""
    postgres: PostgresServer
    console: Console
    quick: bool
    data: Path
    """Where the servers keep their files."""
    core: int | None
    """For whoever is measured; all else is bound to another."""
    made: set[str] = field(default_factory=set)
    """Databases to be copied."""

    @property
    def rounds(self) -> int:
        return 1 if self.quick else 3

    @property
    def seconds(self) -> float:
        """Of one round."""
        return 2.0 if self.quick else 5.0

    @property
    def warm_up(self) -> float:
        return 1.0 if self.quick else 2.0

    @cached_property
    def load(self) -> Load:
        self.folder.mkdir(parents=True, exist_ok=True)
        return Load(self.folder, self.say)

    @cached_property
    def synced(self) -> float:
        """Milliseconds that the servers' disk takes for a page."""
        return sync_ms(self.data)

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False)

    def on_postgresql(self) -> str:
        return f"{durability.of_postgresql(self.postgres)}; a page reaches the disk in {self.synced:.2f} ms"

    async def on_sqlite(self) -> str:
        with self.place("durability") as folder:
            return f"{await durability.of_sqlite(folder)}; a page reaches the disk in {self.synced:.2f} ms"

    @contextmanager
    def place(self, name: str) -> Iterator[Path]:
        """An empty folder, gone afterwards."""
        folder = self.folder / "http" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
