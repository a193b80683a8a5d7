"""A telemetry store that is open for a block, and what is found in it and beside it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from groundplan.console.telemetry.queries import TelemetryQueries
from groundplan.console.telemetry.store import TelemetryStore


@contextmanager
def opened(path: Path, *, max_rows: int = 1_000, dropped: list[int] | None = None) -> Iterator[TelemetryStore]:
    store = TelemetryStore(path, max_rows=max_rows, dropped=(dropped if dropped is not None else []).append)
    asyncio.run(store.open())
    try:
        yield store
    finally:
        asyncio.run(store.close())


def paths(store: TelemetryStore) -> list[str]:
    return [found.path for found in TelemetryQueries(store).requests(limit=10_000)]


def aside(path: Path) -> list[Path]:
    return sorted(found for found in path.parent.iterdir() if ".aside-" in found.name and "-" not in found.name[-4:])
