"""The measured processes: each in a session of its own, bound to one core, its output out of the way."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.common.machine import BenchmarkFailed, bind

STOP_SECONDS = 15.0
ROOT = Path(__file__).parents[2]


class Worker:
    """A process and its children, until the end of the block. What it prints is lost; its errors go to ``log``."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        *,
        folder: Path,
        log: Path,
        core: int | None,
    ) -> None:
        self.name = name
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                env={**clean(), **environment},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                preexec_fn=partial(bind, core),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def check(self) -> None:
        """Raises BenchmarkFailed with its last words if it has ended."""
        if self._process.poll() is not None:
            raise BenchmarkFailed(f"{self.name} ended with exit code {self._process.returncode}.{self.last_words()}")

    def wait(self, seconds: float) -> None:
        """Waits for it to end by itself. Raises BenchmarkFailed if it does not, or ends badly."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            raise BenchmarkFailed(f"{self.name} did not end within {seconds:.0f} s.{self.last_words()}") from None
        if self._process.returncode:
            self.check()

    def stop(self) -> None:
        """SIGTERM to it, then SIGKILL to whatever is left of it and its children."""
        if self._process.poll() is None:
            self._process.terminate()
            give_up = time.monotonic() + STOP_SECONDS
            while self._process.poll() is None and time.monotonic() < give_up:
                time.sleep(0.02)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-15:]
        return "\n" + "\n".join(lines) if lines else ""


def clean() -> dict[str, str]:
    """Of our own environment only what a program needs to run: nothing that the platform or a peer would read."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
