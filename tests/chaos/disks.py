"""A disk that can be full: a small one of its own where the system lets us mount it, else SQLite's own limit."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from groundplan.data.database import sqlite

SIZE = 12 * 1024 * 1024  # room for a write-ahead log of 1000 pages, at which SQLite begins it anew
PAGE = 4096


class Mounted:
    """In memory, with ``SIZE`` bytes; a file takes what is left of them."""

    limit = 0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        with self._ballast.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * PAGE):
                    pass
            except OSError:
                return

    def free(self) -> None:
        self._ballast.unlink()


class Limited:
    """The database may have so many pages, for connections that are made from ``fill`` until ``free``."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.limit = 0
        self._patch = patch

    def fill(self) -> None:
        self.limit = (self.folder / "app.db").stat().st_size // PAGE + 20
        self._patch.setattr(sqlite, "_PRAGMAS", (*sqlite._PRAGMAS, f"max_page_count={self.limit}"))

    def free(self) -> None:
        self.limit = 0
        self._patch.undo()


Disk = Mounted | Limited


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=777", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        with pytest.MonkeyPatch.context() as patch:
            yield Limited(folder, patch)
        return
    try:
        yield Mounted(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
