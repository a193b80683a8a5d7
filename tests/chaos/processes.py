"""Workers as processes of their own. They are forked from a server that has imported everything: up in a tenth of
a second, and a kill -9 is a kill -9."""

import multiprocessing
import os
import signal
import time
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from tests.chaos.entry import Rig, main

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0
END_SECONDS = 30.0
PRELOADED = ["pytest", "tests.chaos.next_release", "groundplan.backend.serve", "groundplan.cli.run"]


def fork_server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{ROOT / 'src'}{os.pathsep}{ROOT}")
        patch.chdir(ROOT)
        multiprocessing.forkserver.ensure_running()  # type: ignore[attr-defined]
    return context


class Worker:
    """``groundplan run --role worker`` in ``folder``; ``rig`` is what lies in its way."""

    def __init__(self, fork: ForkServerContext, folder: Path, environment: Mapping[str, str], log: Path, rig: Rig):
        self.rig = rig
        self.log = log
        self._process = fork.Process(target=main, args=(folder, dict(environment), log, rig), daemon=False)
        self._process.start()

    @property
    def pid(self) -> int:
        if self._process.pid is None:
            raise AssertionError("It was started.")
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def until_ready(self) -> "Worker":
        self.until_it_says('"event":"ready"')
        return self

    def until_it_says(self, *words: str, seconds: float = START_SECONDS) -> None:
        """Waits for any of these among its log lines."""
        give_up = time.monotonic() + seconds
        while not any(each in self.lines() for each in words):
            assert self.alive, f"the worker has ended:\n{self.lines()[-4000:]}"
            assert time.monotonic() < give_up, f"no {words} in {seconds} s:\n{self.lines()[-4000:]}"
            time.sleep(0.02)

    def until_dead(self, *, seconds: float = END_SECONDS) -> float:
        """Waits until it has killed itself at its step; the moment, by time.monotonic()."""
        self._process.join(seconds)
        assert self._process.exitcode == -signal.SIGKILL, (
            f"not killed at {self.rig.step!r} in {seconds} s, exit code {self._process.exitcode}:\n"
            f"{self.lines()[-4000:]}"
        )
        return time.monotonic()

    def until_frozen(self, *, seconds: float = END_SECONDS) -> None:
        """Waits until it has stopped itself at its step."""
        give_up = time.monotonic() + seconds
        while _state(self.pid) != "T":
            assert self.alive, f"the worker has ended:\n{self.lines()[-4000:]}"
            assert time.monotonic() < give_up, f"not frozen at {self.rig.step!r}:\n{self.lines()[-4000:]}"
            time.sleep(0.02)

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> float:
        """kill -9, whatever its state; the moment."""
        if self._process.is_alive():
            self._process.kill()
        self._process.join(END_SECONDS)
        return time.monotonic()

    def stop(self) -> int | None:
        """SIGTERM, if it is up; the exit code once it has drained."""
        self.until_ready()
        self._process.terminate()
        self._process.join(END_SECONDS)
        return self._process.exitcode

    def lines(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def _state(pid: int) -> str:
    """Linux's letter for it: T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
