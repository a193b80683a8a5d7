"""What a server has used: its own user and system time with that of its children, and its memory."""

import os
import time
from pathlib import Path

from benchmarks.common.machine import BenchmarkFailed
from benchmarks.http.server import Server

_TICK = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12
"""Positions behind the program's name in /proc/PID/stat."""
_IDLE, _GUEST = 3, 9
"""Positions in a line of /proc/stat; a guest's time is counted in another column already."""


class Use:
    """Of a server's core, from now on."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._began, self._spent, self._busy = self._now()

    def so_far(self) -> tuple[float, float]:
        """Seconds that the server has worked, and the share of its core that went to anybody else."""
        began, spent, busy = self._now()
        spent -= self._spent
        return spent, max(0.0, busy - self._busy - spent) / (began - self._began)

    def _now(self) -> tuple[float, float, float]:
        spent = cpu_seconds(self._server.pid)
        core = self._server.core
        return time.perf_counter(), spent, spent if core is None else busy_seconds(core)


def cpu_seconds(pid: int) -> float:
    return sum(_ticks(each) for each in tree(pid)) / _TICK


def busy_seconds(core: int) -> float:
    """What a core has worked so far, for whomever: all but its idle and waiting time."""
    line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{core} "))
    ticks = [int(each) for each in line.split()[1:_GUEST]]
    return (sum(ticks) - ticks[_IDLE] - ticks[_IDLE + 1]) / _TICK


def memory_mb(pid: int) -> float:
    """Resident, of the process and its children, in megabytes (10**6 bytes)."""
    return sum(_resident(each) for each in tree(pid)) * 1024 / 1e6


def tree(pid: int) -> list[int]:
    """The process and all below it. Raises BenchmarkFailed where it has ended, or the system does not tell."""
    try:
        children = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        children = []
    if not Path(f"/proc/{pid}/stat").exists():
        raise BenchmarkFailed(f"Process {pid} is not in /proc: it has ended, or this is not Linux, which we need here.")
    return [pid, *(below for line in children for child in line.split() for below in tree(int(child)))]


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[_USER]) + int(fields[_SYSTEM])


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
