"""The command line as a person or a script meets it: real processes, their words and their exit codes."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from groundplan.testing.postgres import PostgresServer
from groundplan.testing.servers import free_port

ROOT = Path(__file__).parents[2]


class Command:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        known = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
        return subprocess.run(
            [sys.executable, "-m", "groundplan.cli", *arguments],
            cwd=self.folder,
            env=known | {"APP_ENV": "ci"} | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def groundplan(tmp_path: Path) -> Command:
    """In a project folder of the test's own."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return Command(tmp_path)


def test_config_show_hides_secrets_and_names_origins(groundplan: Command) -> None:
    environment = {"SECRET_KEY": "this must not be seen by anyone", "APP_PORT": "9000", "CLIENT_SECRET": "nor this"}
    shown = groundplan("config", "show", "--json", **environment)
    assert shown.returncode == 0, shown.stderr
    rows = {row["name"]: row for row in json.loads(shown.stdout)}
    assert (rows["APP_PORT"]["value"], rows["APP_PORT"]["origin"]) == ("9000", "environment APP_PORT")
    assert rows["WORKER_SLOTS"]["origin"] == "default"
    assert "must not be seen" not in shown.stdout and "nor this" not in shown.stdout


@pytest.mark.parametrize("role", ["worker", "api"])
def test_run_does_not_wait_for_a_database_for_ever(groundplan: Command, role: str) -> None:
    gone = f"127.0.0.1:{free_port()}"
    ended = groundplan(
        "run",
        "--role",
        role,
        DATABASE_URL=f"postgresql://app:hunter2@{gone}/shop",
        DATABASE_WAIT_SECONDS="1",
        APP_PORT=str(free_port()),
        SECRET_KEY="k" * 32,
    )
    assert ended.returncode == 1
    assert "waiting for the database" in ended.stdout
    assert f"PostgreSQL, shop at {gone} could not be used within 1 s" in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr and "hunter2" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("command", [("run",), ("migrate",)])
def test_a_database_that_refuses_is_said_in_words(
    groundplan: Command, postgres: PostgresServer, command: tuple[str, ...]
) -> None:
    place = postgres.url("shop").partition("@")[2]
    environment = {"DATABASE_URL": f"postgresql://nobody:hunter2@{place}", "DATABASE_WAIT_SECONDS": "1"}
    ended = groundplan(*command, APP_PORT=str(free_port()), SECRET_KEY="k" * 32, **environment)
    assert ended.returncode == 1
    assert 'refuses the connection: password authentication failed for user "nobody"' in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr and "hunter2" not in ended.stdout + ended.stderr


def test_config_check_says_everything_at_once(groundplan: Command) -> None:
    assert groundplan("config", "check").returncode == 0
    wrong = groundplan("config", "check", APP_PORT="abc", LOG_LEVEL="loud", REDIS_URL="memcached://localhost")
    assert wrong.returncode == 2
    assert all(name in wrong.stderr for name in ("APP_PORT", "LOG_LEVEL", "REDIS_URL"))
    insecure = groundplan("config", "check", APP_ENV="prod")
    assert insecure.returncode == 2 and "SECRET_KEY" in insecure.stderr


def test_migrate_there_and_back(groundplan: Command) -> None:
    behind = groundplan("migrate", "status")
    assert behind.returncode == 1, "a finding"
    up = groundplan("migrate")
    assert up.returncode == 0 and "platform: nothing -> 0" in up.stdout
    assert "Migrated" not in groundplan("migrate", "up").stdout, "nothing to do the second time"
    assert groundplan("migrate", "status").returncode == 0
    down = groundplan("migrate", "down", "--json")
    assert down.returncode == 0
    assert groundplan("migrate", "status").returncode == 1
    assert groundplan("migrate", "new").returncode == 2
    assert groundplan("migrate", "new", "drop table;").returncode == 2


def test_run_refuses_what_cannot_work(groundplan: Command) -> None:
    unmigrated = groundplan("run", "--port", str(free_port()))
    assert unmigrated.returncode == 2 and "groundplan migrate" in unmigrated.stderr
    taken = free_port()
    with socket.create_server(("127.0.0.1", taken)):
        refused = groundplan("run", "--port", str(taken), APP_HOST="127.0.0.1")
    assert refused.returncode == 2 and f"Port {taken} cannot be used" in refused.stderr


def test_seed_once(groundplan: Command) -> None:
    groundplan("migrate")
    assert "the stores are open" in groundplan("seed").stdout
    assert "there already" in groundplan("seed").stdout


def test_queue_and_dead_letters_of_an_empty_house(groundplan: Command) -> None:
    groundplan("migrate")
    assert json.loads(groundplan("queue", "stats", "--json").stdout) == []
    empty = groundplan("dead-letters", "list", "--json")
    assert (empty.returncode, json.loads(empty.stdout)) == (0, [])
    for arguments in (
        ("dead-letters", "show", "nonsense"),
        ("dead-letters", "show", str(uuid4())),
        ("dead-letters", "replay", str(uuid4())),
        ("dead-letters", "drop", str(uuid4()), "--reason", "old"),
        ("dead-letters", "drop", str(uuid4())),
        ("dead-letters", "edit", str(uuid4()), "--set", "no equals sign"),
        ("queue", "retire", "nobody.knows_it"),
    ):
        assert groundplan(*arguments).returncode == 2, arguments


@pytest.mark.parametrize("words", ["nonsense", "run --role king", "run --port x", "config x"])
def test_wrong_usage_is_exit_code_two(groundplan: Command, words: str) -> None:
    assert groundplan(*words.split()).returncode == 2


def test_outside_a_project_it_says_so(tmp_path: Path) -> None:
    lost = Command(tmp_path)("config", "show")
    assert lost.returncode == 2 and "No project here" in lost.stderr
