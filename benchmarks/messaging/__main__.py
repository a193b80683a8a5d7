"""Runs the parts and writes `var/bench/messaging.json`.

QUICK=1         our part and one peer, once each, in less than a minute
PEERS=a,b       only these peers
PARTS=a,b       only these parts
SLOTS=10        connections for the handlers' transactions, for every contender
"""

import asyncio
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from benchmarks.common import results
from benchmarks.common.machine import BenchmarkFailed, described, sync_ms
from benchmarks.common.processes import ROOT
from benchmarks.common.run import asked, data_folder
from benchmarks.messaging import drain, fenced, idle, latency, noops, publishing
from benchmarks.messaging.bench import Bench
from benchmarks.messaging.catalogue import peers
from groundplan.testing.postgres import PostgresFailed, PostgresServer

SLOTS = 10
WIDTH = 200
"""Of the table where there is no terminal."""
PARTS = {
    "fenced": fenced.measure,
    "noops": noops.measure,
    "latency": latency.measure,
    "publishing": publishing.measure,
    "drain": drain.measure,
    "idle": idle.measure,
}


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
    shutil.rmtree(folder / "trials", ignore_errors=True)  # of a run that was broken off
    data = data_folder(folder)
    tempfile.tempdir = str(data)  # the servers make their folders there: on the disk that holds the project
    postgres = stack.enter_context(PostgresServer(durable=True, max_connections=200))
    bench = Bench(folder, postgres, console, quick, int(os.environ.get("SLOTS", SLOTS)), stack, data, sync_ms(data))
    known = list(peers())
    chosen = asked("PEERS", known[: 1 if quick else None], known)
    parts = asked("PARTS", list(PARTS), list(PARTS))
    bound = "not bound to a core" if bench.core is None else f"each bound to core {bench.core} with its children"
    console.print(
        f"{described()}; {bench.slots} connections; measured processes {bound}, servers not bound", highlight=False
    )
    figures: list[results.Figure] = []
    for part in parts:
        figures += await PARTS[part](bench, chosen)
        results.write(figures, folder / "messaging.json")
    console.print()
    results.show(figures, console)
    console.print(f"\nWritten to {(folder / 'messaging.json').relative_to(ROOT)}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
