"""The platform as real processes, for tests that kill, stop and hammer them from outside."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

from groundplan.testing.servers import free_port

START_SECONDS = 30.0


class PlatformFailed(RuntimeError):
    """The process did not get ready; the message holds its last lines."""


class PlatformProcess:
    """``groundplan run`` of one role in a folder of its own, with an environment of its own."""

    def __init__(
        self,
        root: Path,
        environment: Mapping[str, str],
        *,
        role: str = "all",
        prepare: bool = False,
        port: int | None = None,
        program: str = "groundplan.cli",
    ) -> None:
        """``root`` is the project; ``environment`` is what the process knows beside PATH.

        ``program`` is the module that takes the command line, for a test that lays something in the platform's way.
        """
        self._program = program
        self.role = role
        self.port = port or free_port()
        self.url = f"http://localhost:{self.port}"
        self._root = root
        self._environment = {"APP_ENV": "ci", "APP_PORT": str(self.port), "LOG_LEVEL": "info", **environment}
        self._prepare = prepare
        self._process: subprocess.Popen[bytes] | None = None
        self.log = Path(self._environment.get("LOG_FOLDER", str(root))) / f"{role}-{self.port}.log"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Starts it and waits until it is ready. Raises PlatformFailed with its last lines."""
        command = [sys.executable, "-m", self._program, "run", "--role", self.role]
        command += ["--prepare"] if self._prepare else []
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._root, env=inherited | self._environment, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def kill(self) -> None:
        """kill -9: no goodbye."""
        self._signal(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and the exit code once it has drained."""
        return self._signal(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def lines(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def _signal(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(60)
        finally:
            self._process.kill()
            self._process = None

    def _wait_until_ready(self) -> None:
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up:
            if self._process is None or self._process.poll() is not None:
                break
            if self._is_ready():
                return
            time.sleep(0.05)
        raise PlatformFailed(f"{self.role} did not get ready:\n{self.lines()[-4000:]}")

    def _is_ready(self) -> bool:
        if self.role == "worker":
            return '"event":"ready"' in self.lines()
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False
