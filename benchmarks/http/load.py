"""The load: wrk, beside the core of the server, and what the server spent on the requests that it counted."""

import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import msgspec

from benchmarks.common.environments import Say
from benchmarks.common.machine import BenchmarkFailed
from benchmarks.common.processes import clean
from benchmarks.http.meter import Use
from benchmarks.http.server import Server

CONNECTIONS = 16
SETTLE_SECONDS = 0.3
"""Before each round: the one before it ends with a request of each connection unanswered, still at work."""
SCRIPT = Path(__file__).parent / "wrk" / "work.lua"
_APT_UPDATE = ["apt-get", "update", "-q"]
_APT_INSTALL = ["apt-get", "install", "-q", "-y", "--no-install-recommends", "wrk"]
TIMEOUT_SECONDS = 30
"""A slow reply is a slow reply; wrk itself would call it an error after 2 s."""
_GRACE_SECONDS = 30.0


class Sample(NamedTuple):
    """One round at full load."""

    rate: float
    """Requests a second."""
    p50: float
    """Milliseconds, as p99 is."""
    p99: float
    cpu: float
    """Microseconds of processor time that the server spent on one request."""
    others: float = 0.0
    """The share of the server's core that went to anybody else meanwhile."""


@dataclass
class Work:
    """Requests that take turns: GETs of ``paths``, or POSTs of ``bodies`` to the one path."""

    paths: Sequence[str]
    bodies: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    signed_in: bool = True
    """Else a visitor asks."""


class _Counted(msgspec.Struct):
    requests: int
    micros: int
    p50: int
    p99: int
    refused: int
    broken: int


class Load:
    def __init__(self, folder: Path, say: Say) -> None:
        if shutil.which("wrk") is None:
            _install(say)
        self._folder = folder
        self._prefix = uuid4().hex[:8]
        self._runs = count()

    def sample(self, server: Server, work: Work, *, seconds: float, connections: int = CONNECTIONS) -> Sample:
        """Raises BenchmarkFailed if a single request is refused or lost: a fast error is no result."""
        time.sleep(SETTLE_SECONDS)
        use = Use(server)
        counted = self._run(server, work, seconds, connections)
        spent, others = use.so_far()
        if counted.refused or counted.broken or not counted.requests:
            server.worker.check()
            raise BenchmarkFailed(
                f"{server.name} refused {counted.refused} and lost {counted.broken} of {counted.requests} requests to "
                f"{work.paths[0]}. {server.answer(work)}{server.worker.last_words()}"
            )
        rate = counted.requests / counted.micros * 1e6
        return Sample(rate, counted.p50 / 1000, counted.p99 / 1000, spent / counted.requests * 1e6, others)

    def _run(self, server: Server, work: Work, seconds: float, connections: int) -> _Counted:
        lines = self._folder / "work.txt"
        lines.write_text("\n".join(work.bodies or work.paths) + "\n")
        method = ["POST", str(lines), work.paths[0], f"{self._prefix}-{next(self._runs)}-"]
        headers = {**server.headers, **work.headers}
        if not work.signed_in:
            headers.pop("Authorization", None)
        if work.bodies:
            headers["Content-Type"] = "application/json"
        command = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={max(1, round(seconds))}s"]
        command += [f"--timeout={TIMEOUT_SECONDS}s"]
        command += [f"--script={SCRIPT}", *(f"--header={name}: {value}" for name, value in headers.items())]
        command += [f"http://127.0.0.1:{server.port}/", "--", *(method if work.bodies else ["GET", str(lines)])]
        done = subprocess.run(
            command,
            env=clean(),
            capture_output=True,
            text=True,
            timeout=seconds + _GRACE_SECONDS,
            check=False,
        )
        try:
            return msgspec.json.decode(done.stdout.splitlines()[-1], type=_Counted)
        except (IndexError, msgspec.MsgspecError):
            raise BenchmarkFailed(f"wrk said what we do not understand:\n{done.stdout}{done.stderr}") from None


def _install(say: Say) -> None:
    say("Installing wrk with apt-get")
    said = ""
    for command in (_APT_UPDATE, _APT_INSTALL) if shutil.which("apt-get") else ():
        done = subprocess.run(
            command, env=clean() | {"DEBIAN_FRONTEND": "noninteractive"}, capture_output=True, text=True, check=False
        )
        said = done.stderr.strip()[-1000:]
    if shutil.which("wrk") is None:
        raise BenchmarkFailed(
            "wrk, which makes the load, is not there and cannot be installed. On Debian and Ubuntu: "
            f"apt-get install wrk; on macOS: brew install wrk.\n{said}".strip()
        )
