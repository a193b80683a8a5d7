"""Groundplan as it is run in production: staging's checks and headers, production's sampling, its own access lines."""

import sys
from pathlib import Path

from benchmarks.common.processes import Worker
from benchmarks.http.server import Server
from groundplan.testing.servers import free_port

MADE = {"APP_ENV": "ci", "SECRET_KEY": "nothing but this benchmark is signed with it: 7f3a9c"}
"""To migrate and to seed, which is for local and ci alone."""
SERVED = MADE | {
    "APP_ENV": "staging",  # prod has no sandbox gateway; all that it checks and sends, staging does too
    "PUBLIC_URL": "https://bench.example",
    "TRACE_SAMPLE": "0.05",
    "LOG_LEVEL": "info",
    "DATABASE_POOL_SIZE": "20",
    "WORKER_SLOTS": "16",
    "READINESS_SECONDS": "0",
    "RATE_LIMIT_IP": "1000000000/min",  # counted as ever, but all the load comes from one address
    "RATE_LIMIT_USER": "1000000000/min",
}
COMMAND_SECONDS = 300.0


def project(folder: Path, app: str) -> None:
    (folder / "pyproject.toml").write_text(f'[tool.groundplan]\napp = "{app}"\n')


def command(folder: Path, environment: dict[str, str], *arguments: str) -> None:
    """Runs ``groundplan`` to its end. Raises BenchmarkFailed if that is not a good one."""
    name = f"groundplan {' '.join(arguments)}"
    line = [sys.executable, "-m", "groundplan.cli", *arguments]
    with Worker(name, line, MADE | environment, folder=folder, log=folder / "command.log", core=None) as running:
        running.wait(COMMAND_SECONDS)


def serve(
    name: str,
    folder: Path,
    environment: dict[str, str],
    *,
    role: str,
    host: str,
    core: int | None,
) -> Server:
    port = free_port()
    line = [sys.executable, "-m", "groundplan.cli", "run", "--role", role, "--host", "127.0.0.1", "--port", str(port)]
    return Server(name, line, SERVED | environment, port=port, folder=folder, core=core, ready="/readyz", host=host)
