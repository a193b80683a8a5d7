"""Runs the parts and writes `var/bench/http.json`.

QUICK=1         our part and one peer, once each, in less than a minute
PEERS=a,b       only these peers
PARTS=a,b       only these parts
"""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType

from rich.console import Console

from benchmarks.common import results
from benchmarks.common.machine import BenchmarkFailed, bind, cores, described
from benchmarks.common.processes import ROOT
from benchmarks.common.run import asked, data_folder
from benchmarks.http import listing, orders, overload, page, shop
from benchmarks.http.bench import Bench
from benchmarks.http.catalogue import peers
from groundplan.testing.postgres import PostgresFailed, PostgresServer

WIDTH = 200
"""Of the table where there is no terminal."""
Measure = Callable[[Bench, list[str]], Awaitable[list[results.Figure]]]
PARTS: Mapping[str, Measure] = MappingProxyType(
    {
        "list": listing.measure,
        "order": orders.measure_read,
        "write": orders.measure_write,
        "routes": listing.measure_routes,
        "page": page.measure,
        "overload": overload.measure,
        "shop": shop.measure,
    }
)
QUICK_PARTS = ["list", "order", "write"]


def main() -> int:
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    folder = ROOT / "var" / "bench"
    try:
        with ExitStack() as stack:
            return asyncio.run(_run(console, folder, stack))
    except (BenchmarkFailed, PostgresFailed) as failed:
        console.print(f"\n[red]{failed}[/]", highlight=False)
        return 2


async def _run(console: Console, folder: Path, stack: ExitStack) -> int:
    quick = os.environ.get("QUICK", "") not in ("", "0")
    shutil.rmtree(folder / "http", ignore_errors=True)  # of a run that was broken off
    data = data_folder(folder)
    tempfile.tempdir = str(data)  # the servers make their folders there: on the disk that holds the project
    machine, bound, measured = described(), "not bound to a core", None
    if len(cores()) > 1:
        measured, others = cores()[-1], cores()[0]
        bound = f"the server under test on core {measured}, wrk and PostgreSQL on core {others}"
        bind(others)
    postgres = stack.enter_context(PostgresServer(durable=True, max_connections=200))
    bench = Bench(folder, postgres, console, quick, data, measured)
    known = list(peers())
    chosen = asked("PEERS", known[: 1 if quick else None], known)
    parts = asked("PARTS", QUICK_PARTS if quick else list(PARTS), list(PARTS))
    load = ", ".join(f"{each:.2f}" for each in os.getloadavg())
    console.print(f"{machine}; load average {load}; {bound}", highlight=False)
    figures: list[results.Figure] = []
    for part in parts:
        figures += await PARTS[part](bench, chosen)
        results.write(figures, folder / "http.json")
    console.print()
    results.show(figures, console)
    load = ", ".join(f"{each:.2f}" for each in os.getloadavg())
    console.print(f"\nLoad average {load}. Written to {(folder / 'http.json').relative_to(ROOT)}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
