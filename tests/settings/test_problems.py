"""Everything wrong is said at once, in words, without secrets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, str], Path]


def test_all_problems_are_reported_together(problems: Any, write: Write) -> None:
    write("config/local.yaml", "worker_slots: many\nlog_levle: info\n")
    write(".env", "DRAIN_SECONDS=-1\nnonsense\nCLIENT_ID='x\n")

    assert problems({"APP_PORT": "abc", "LOG_LEVEL": "loud"}, trace_sample="2", prot="1") == [
        "--prot is not a setting; the nearest is 'port'.",
        ".env, line 2, is not NAME=value.",
        ".env, line 3, is not NAME=value.",
        "config/local.yaml: 'log_levle' is not a setting; the nearest is 'log_level'.",
        "APP_PORT must be a whole number from 1 to 65535, but is 'abc' (environment).",
        "LOG_LEVEL must be one of debug, info, warn, error, but is 'loud' (environment).",
        "WORKER_SLOTS must be a whole number from 1 to 1000, but is 'many' (config/local.yaml).",
        "DRAIN_SECONDS must be a whole number from 0 to 3600, but is '-1' (.env).",
        "TRACE_SAMPLE must be a number from 0 to 1, but is '2' (command line).",
    ]


def test_an_unknown_environment_does_not_hide_the_rest(problems: Any) -> None:
    assert problems({"APP_ENV": "production", "APP_PORT": "0"}) == [
        "APP_ENV must be one of local, ci, staging, prod, but is 'production' (environment).",
        "APP_PORT must be a whole number from 1 to 65535, but is '0' (environment).",
    ]


@pytest.mark.parametrize("port", ["0", "65536", "8080.0", "1e3", "٨٠٨٠", "0x50", "8_080", "9" * 400])
def test_what_is_not_a_port(problems: Any, port: str) -> None:
    assert problems({"APP_PORT": port})[0].startswith("APP_PORT must be a whole number from 1 to 65535")


@pytest.mark.parametrize("share", ["nan", "inf", "-0.1", "1.01", "half", ""])
def test_what_is_not_a_share(problems: Any, share: str) -> None:
    assert problems(trace_sample=share)[0].startswith("TRACE_SAMPLE must be a number from 0 to 1")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("port: [8080]", "APP_PORT must be a single value, but is not (config/local.yaml)."),
        ("- port", "config/local.yaml must hold settings as name: value."),
        ("port: 1\n  host: : x", "config/local.yaml is not valid YAML at line 2, column 7."),
        ("APP_PORT: 1", "config/local.yaml: 'APP_PORT' is not a setting; the nearest is 'port'."),
        ("7: 1", "config/local.yaml: 7 is not a setting."),
        ("env: prod", "config/local.yaml cannot set env, which chooses this file; set APP_ENV in the environment."),
    ],
)
def test_what_is_wrong_in_a_file(problems: Any, write: Write, content: str, problem: str) -> None:
    write("config/local.yaml", content)

    assert problems() == [problem]


def test_files_that_cannot_be_read(problems: Any, write: Write) -> None:
    write("config/local.yaml", "").write_bytes(b"\xff\xfe\xff")
    write(".env", "").write_bytes(b"\xff")

    assert problems() == [".env is not UTF-8 text.", "config/local.yaml is not UTF-8 text."]


def test_dotenv_cannot_choose_another_environment(problems: Any, write: Write) -> None:
    write(".env", "APP_ENV=prod")

    assert problems() == [".env is read in local only, so it cannot set another APP_ENV; set that in the environment."]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("secret_key: hunter2", "SECRET_KEY"),
        ("client_secret: hunter2", "CLIENT_SECRET"),
        ("database_url: postgres://app:hunter2@db/shop", "DATABASE_URL"),
        ("database_url: postgres://db/shop?password=hunter2", "DATABASE_URL"),
        ("redis_url: redis://:hunter2@cache", "REDIS_URL"),
    ],
)
def test_secrets_have_no_place_in_a_versioned_file(problems: Any, write: Write, line: str, name: str) -> None:
    write("config/local.yaml", line)
    (problem,) = problems()

    assert problem.startswith(f"{name} is a secret or holds one, and config/local.yaml is no place for it;")
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    "environ",
    [
        {"SECRET_KEY": "hunter2\x00"},
        {"CLIENT_SECRET": "hunter2\nx"},
        {"DATABASE_URL": "postgres://app:hunter2@db"},
        {"DATABASE_URL": "postgres://app:hunter2/x@db/shop"},
        {"DATABASE_URL": "postgres://app:hunter2#x@db/shop"},
        {"DATABASE_URL": "mysql://app:hunter2@db/shop"},
        {"DATABASE_URL": "app:hunter2@db/shop"},
        {"DATABASE_URL": "postgres://app@db/shop?password=hunter2"},
        {"DATABASE_URL": "postgres://app@db/shop?hunter2"},
        {"REDIS_URL": "redis://:hunter2@cache/x"},
        {"REDIS_URL": "memcached://:hunter2@cache"},
        {"QUEUE_URL": "kafka://u:hunter2@broker"},
        {"PUBLIC_URL": "https://u:hunter2@shop.test"},
        {"FEATURE_FLAGS": "sdk-key-hunter2"},
    ],
)
def test_no_secret_is_ever_in_a_problem(problems: Any, environ: dict[str, str]) -> None:
    found = problems(environ)

    assert len(found) == 1
    assert "hunter" not in found[0]


def test_the_client_goes_with_the_domain(problems: Any) -> None:
    assert problems({"EXTERNAL_AUTH_DOMAIN": "login.example.com"}) == [
        "CLIENT_ID must be set where EXTERNAL_AUTH_DOMAIN is."
    ]
