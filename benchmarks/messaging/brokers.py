"""The brokers that peers stand on, on free ports of the loopback, gone at the end of the run."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.common.environments import Say, ready
from benchmarks.common.machine import BenchmarkFailed
from benchmarks.common.processes import clean
from benchmarks.messaging.catalogue import REQUIREMENTS
from groundplan.testing.account import Account
from groundplan.testing.servers import free_port

START_SECONDS = 60.0
RABBITMQ = Path("/usr/lib/rabbitmq/bin")
DURABILITY = {
    "nats": "JetStream: file store, the server's default sync_interval of 2 minutes",
    "rabbitmq": "RabbitMQ: durable queue, persistent messages",
}
_APT_UPDATE = ["apt-get", "update", "-q"]
_APT_INSTALL = ["apt-get", "install", "-q", "-y", "--no-install-recommends", "rabbitmq-server"]


@contextmanager
def nats(folder: Path, say: Say) -> Iterator[str]:
    """JetStream with a file store and the server's own defaults. Raises BenchmarkFailed."""
    program = ready(folder, REQUIREMENTS / "nats.txt", say) / "nats-server"
    port = free_port()
    with _store(Account(), "nats-") as store:
        command = [str(program), "--addr", "127.0.0.1", "--port", str(port), "--jetstream", "--store_dir", str(store)]
        with _serving("nats-server", command, port, store, Account(), {}):
            yield f"nats://127.0.0.1:{port}"


@contextmanager
def rabbitmq(folder: Path, say: Say) -> Iterator[str]:
    """A node of its own, under an unprivileged account; the system's service is not used. Raises BenchmarkFailed."""
    if not (RABBITMQ / "rabbitmq-server").is_file():
        _install_rabbitmq(say)
    account, port, mapper = Account.unprivileged(), free_port(), free_port()
    with _store(account, "rabbitmq-") as store, ExitStack() as stack:
        environment = _node(store, port, mapper)
        commands = (("epmd", ["epmd"], mapper), ("rabbitmq-server", [str(RABBITMQ / "rabbitmq-server")], port))
        for name, command, listening in commands:
            stack.enter_context(_serving(name, command, listening, store, account, environment))
        yield f"amqp://guest:guest@127.0.0.1:{port}//"


def _node(store: Path, port: int, mapper: int) -> dict[str, str]:
    """The environment of a node that has nothing in common with any other; Erlang's port mapper is its own too."""
    config, plugins = store / "rabbitmq.conf", store / "enabled_plugins"
    config.write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\nlog.console = true\nlog.file = false\n")
    plugins.write_text("[].\n")
    folders = {"MNESIA_BASE": "mnesia", "LOG_BASE": "log", "SCHEMA_DIR": "schema", "GENERATED_CONFIG_DIR": "generated"}
    return {
        "HOME": str(store),
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"bench{port}@localhost",
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_BASE": str(store),
        "RABBITMQ_CONFIG_FILE": str(config),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        "RABBITMQ_CONF_ENV_FILE": str(store / "none"),
        "RABBITMQ_PID_FILE": str(store / "pid"),
        **{f"RABBITMQ_{name}": str(store / folder) for name, folder in folders.items()},
    }


def _install_rabbitmq(say: Say) -> None:
    say("Installing rabbitmq-server with apt-get (its service is not started)")
    environment = clean() | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (_APT_UPDATE, _APT_INSTALL) if shutil.which("apt-get") else ():
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if not (RABBITMQ / "rabbitmq-server").is_file():
        raise BenchmarkFailed(
            "RabbitMQ, which Celery stands on, is not there and cannot be installed. On Debian and Ubuntu: "
            "apt-get install rabbitmq-server; or leave Celery out with PEERS, as in PEERS=pgqueuer,dbos."
            + (f"\n{done.stderr.strip()[-1000:]}" if shutil.which("apt-get") else "")
        )


@contextmanager
def _store(account: Account, prefix: str) -> Iterator[Path]:
    store = account.make_directory(prefix)
    try:
        yield store
    finally:
        shutil.rmtree(store, ignore_errors=True)


@contextmanager
def _serving(
    name: str, command: list[str], port: int, store: Path, account: Account, environment: dict[str, str]
) -> Iterator[None]:
    """Once it listens on ``port``; stopped at the end of the block."""
    log = store / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=clean() | environment,
            cwd=store,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=account.user,
            group=account.group,
            extra_groups=account.extra_groups,
        )
    try:
        give_up = time.monotonic() + START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > give_up:
                raise BenchmarkFailed(f"{name} did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
