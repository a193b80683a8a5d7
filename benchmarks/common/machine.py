"""What the figures depend on beside the code: the processor, the disk, and who runs where."""

import os
import platform
import statistics
import time
from pathlib import Path

SYNCS = 100
LOOPS = 9
BLOCK = 8192
"""Bytes: a page of PostgreSQL's log."""


class BenchmarkFailed(RuntimeError):
    """Something cannot be installed, started or measured; the message says what, and what to do."""


def sync_ms(folder: Path) -> float:
    """How long the disk of ``folder`` takes to keep a written page: the median of many, in milliseconds."""
    path = folder / "sync-probe"
    flush = getattr(os, "fdatasync", os.fsync)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.pwrite(file, bytes(BLOCK * SYNCS), 0)
        os.fsync(file)
        taken = []
        for number in range(SYNCS):
            os.pwrite(file, os.urandom(BLOCK), number * BLOCK)
            started = time.perf_counter()
            flush(file)
            taken.append(time.perf_counter() - started)
    finally:
        os.close(file)
        path.unlink()
    return statistics.median(taken) * 1000


def cores() -> list[int]:
    """The cores we may use, where processes can be bound to one; elsewhere none."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def bind(core: int | None) -> None:
    """Binds this process, and those it starts, to one core."""
    if core is not None:
        os.sched_setaffinity(0, {core})


def loop_ms() -> float:
    """How long the interpreter takes to add up a million numbers, in milliseconds: the median of some.

    It tells a slow core, and not one whose caches and memory others use.
    """
    taken = []
    for _ in range(LOOPS):
        started, total = time.perf_counter(), 0
        for number in range(1_000_000):
            total += number
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000


def described() -> str:
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{len(cores()) or os.cpu_count()} cores, {system}, a million additions in {loop_ms():.0f} ms"


def cpu_seconds(pid: int) -> float:
    """Processor time of a process's threads so far. Raises BenchmarkFailed where the system does not tell."""
    try:
        threads = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    except OSError:
        threads = []
    if not threads:
        raise BenchmarkFailed("What an idle worker costs is read from /proc, which Linux has: leave it out with PARTS.")
    return sum(int(thread.split()[0]) for thread in threads) / 1e9
