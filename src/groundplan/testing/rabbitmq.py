"""A real RabbitMQ for tests, from the system's package: a node of its own, which shares nothing with any other."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from groundplan.testing.account import Account
from groundplan.testing.servers import Server, ServerFailed, free_port

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

_SERVE = """
rm -f alive
mkfifo alive
epmd -port "$ERL_EPMD_PORT" -address 127.0.0.1 &
mapper=$!
( read -r _ <alive; kill $mapper ) >/dev/null 2>&1 &
exec 4>alive
exec "$1"
"""
"""Erlang's port mapper is the server's child and outlives it: it ends when nobody holds the pipe any more."""


class RabbitServer(Server):
    """One node, without plugins. What it confirms is on the disk."""

    name = "rabbitmq"
    start_seconds = 60.0

    def __init__(self) -> None:
        super().__init__()
        self._account = Account.unprivileged()
        self._mapper = 0
        self._distribution = 0

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def _command(self, directory: Path) -> list[str]:
        if not PROGRAM.exists() or shutil.which("epmd") is None:
            raise ServerFailed("RabbitMQ is not installed: make test-all installs it (scripts/install-rabbitmq).")
        self._mapper, self._distribution = free_port(), free_port()
        (directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nlog.console = true\nlog.console.level = warning\n"
            "log.file = false\nmax_message_size = 16777216\n"  # version 4's default
        )
        (directory / "enabled_plugins").write_text("[].\n")
        return ["/bin/sh", "-c", _SERVE, self.name, str(PROGRAM)]

    def _environment(self, directory: Path) -> Mapping[str, str]:
        folders = ("MNESIA_BASE", "LOG_BASE", "SCHEMA_DIR", "GENERATED_CONFIG_DIR")
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(directory),
            "ERL_EPMD_PORT": str(self._mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"groundplan-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_BASE": str(directory),
            "RABBITMQ_CONF_ENV_FILE": str(directory / "none"),
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(directory / "pid"),
            # Otherwise a shell stays in front of the Erlang machine, and a signal would reach the shell alone.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput -kernel inet_dist_use_interface {127,0,0,1}",
            **{f"RABBITMQ_{name}": str(directory / name.lower()) for name in folders},
        }

    def _is_ready(self) -> bool:
        return self._answers(b"AMQP\x00\x00\x09\x01", b"\x01\x00\x00")
