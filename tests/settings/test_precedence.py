"""Defaults < config/<env>.yaml < .env (local only) < environment < command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, str], Path]


def test_every_level_overrides_the_one_below(load_settings: Any, write: Write) -> None:
    assert (load_settings().settings.port, load_settings().origin("port")) == (8080, "default")

    write("config/local.yaml", "port: 8001")
    assert (load_settings().settings.port, load_settings().origin("port")) == (8001, "config/local.yaml")

    write(".env", "APP_PORT=8002")
    assert (load_settings().settings.port, load_settings().origin("port")) == (8002, ".env")

    loaded = load_settings({"APP_PORT": "8003"})
    assert (loaded.settings.port, loaded.origin("port")) == (8003, "environment APP_PORT")

    loaded = load_settings({"APP_PORT": "8003"}, port="8004")
    assert (loaded.settings.port, loaded.origin("port")) == (8004, "command line --port")


def test_app_env_chooses_the_yaml_file(load_settings: Any, write: Write) -> None:
    write("config/local.yaml", "worker_slots: 2")
    write("config/ci.yaml", "worker_slots: 3")

    assert load_settings().settings.worker_slots == 2
    assert load_settings({"APP_ENV": "ci"}).settings.worker_slots == 3
    assert load_settings({"APP_ENV": "ci"}, env="local").settings.worker_slots == 2


@pytest.mark.parametrize("env", ["ci", "staging"])
def test_dotenv_is_read_in_local_only(load_settings: Any, write: Write, env: str) -> None:
    write(".env", "APP_PORT=8002")

    assert load_settings({"APP_ENV": env, "SECRET_KEY": "k" * 40}).settings.port == 8080


def test_an_empty_variable_counts_as_not_set(load_settings: Any, write: Write) -> None:
    write("config/local.yaml", "port: 8001")

    assert load_settings({"APP_PORT": "", "REDIS_URL": "  "}).settings.port == 8001


def test_unknown_variables_of_the_environment_are_none_of_our_business(load_settings: Any) -> None:
    load_settings({"APP_PROT": "1", "PATH": "/bin"})


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("LOG_LEVEL=warn", "warn"),
        ("export LOG_LEVEL = warn", "warn"),
        ("LOG_LEVEL='warn'", "warn"),
        ('LOG_LEVEL="warn"  # less noise', "warn"),
        ("LOG_LEVEL=warn # less noise", "warn"),
        ("# LOG_LEVEL=warn", "info"),
        ("LOG_LEVEL= # nothing", "info"),
        ("LOG_LEVEL=", "info"),
    ],
)
def test_lines_of_dotenv(load_settings: Any, write: Write, line: str, level: str) -> None:
    write(".env", f"\ufeff\n{line}\r\nOTHER=1\n")

    assert load_settings().settings.log_level == level


def test_quotes_and_escapes_in_dotenv(load_settings: Any, write: Write) -> None:
    write(".env", 'CLIENT_ID="a \\"b\\" #c"\nCLIENT_SECRET=\'$x\\n#y\'\nSECRET_KEY=a#b=c')
    settings = load_settings().settings

    assert (settings.client_id, settings.client_secret, settings.secret_key) == ('a "b" #c', "$x\\n#y", "a#b=c")


def test_the_snapshot_is_read_only(load_settings: Any) -> None:
    with pytest.raises(AttributeError):
        load_settings().settings.port = 1


def test_what_follows_from_the_rest(load_settings: Any) -> None:
    local = load_settings(port="9000").settings
    assert (local.host, local.public_url) == ("127.0.0.1", "http://localhost:9000")
    assert load_settings({"APP_ENV": "ci"}).settings.host == "0.0.0.0"
    assert (
        load_settings({"APP_HOST": "::1", "PUBLIC_URL": "https://Shop.test/"}).settings.public_url
        == "https://shop.test"
    )
