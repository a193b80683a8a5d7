"""References, the key that is made on a laptop, and what people get to see."""

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from groundplan.settings import load

Write = Callable[[str, str], Path]


@pytest.mark.parametrize(("content", "value"), [("s3cret\n", "s3cret"), ("s3cret\r\n", "s3cret"), ("a\n\n", None)])
def test_a_reference_to_a_file(
    load_settings: Any, problems: Any, write: Write, content: str, value: str | None
) -> None:
    file = write("keys/client", content)
    for reference in ("ref+file://keys/client", f"ref+file://{file}"):
        if value is None:
            assert problems({"CLIENT_SECRET": reference}) == [
                "CLIENT_SECRET must not contain control characters (environment)."
            ]
        else:
            assert load_settings({"CLIENT_SECRET": reference}).settings.client_secret == value


def test_a_versioned_file_may_refer_to_a_secret(load_settings: Any, write: Write) -> None:
    write("keys/secret", "k" * 40)
    write("config/local.yaml", "secret_key: ref+file://keys/secret")

    assert load_settings().settings.secret_key == "k" * 40


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("ref+file://nowhere", "refers to the file nowhere, which cannot be read: No such file or directory"),
        ("ref+file://empty", "refers to the file empty, which is empty"),
        ("ref+file://", "is a reference of an unknown kind; what is supported is ref+file://path"),
        ("ref+vault://kv/shop#key", "refers to Vault, which is not supported yet; ref+file:// is"),
        ("ref+awssm://shop", "refers to AWS Secrets Manager, which is not supported yet; ref+file:// is"),
        ("ref+gcpsm://shop", "refers to GCP Secret Manager, which is not supported yet; ref+file:// is"),
        ("ref+pass://shop", "is a reference of an unknown kind; what is supported is ref+file://path"),
    ],
)
def test_references_that_lead_nowhere(problems: Any, write: Write, reference: str, words: str) -> None:
    write("empty", "\n")

    assert problems({"SECRET_KEY": reference}) == [f"SECRET_KEY {words} (environment)."]


def test_what_a_reference_leads_to_is_not_shown_when_it_does_not_fit(problems: Any, write: Write) -> None:
    write("wrong", "hunter2")

    assert problems({"APP_PORT": "ref+file://wrong"}) == [
        "APP_PORT must be a whole number from 1 to 65535, but is [hidden] (environment)."
    ]


def test_a_key_is_made_once_and_kept_to_its_owner(load_settings: Any, tmp_path: Path) -> None:
    first = load_settings()
    file = tmp_path / "var/secret_key"

    assert len(first.settings.secret_key) >= 32
    assert first.origin("secret_key") == "var/secret_key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_settings().settings.secret_key == first.settings.secret_key
    assert [entry.name for entry in file.parent.iterdir()] == ["secret_key"]


def test_processes_that_start_together_agree_on_the_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        loaded = pool.map(lambda _: load(root=tmp_path, environ={}).settings.secret_key, range(64))

    assert len(set(loaded)) == 1


def test_no_key_is_made_where_one_is_set_or_something_is_wrong(
    load_settings: Any, problems: Any, tmp_path: Path
) -> None:
    load_settings({"SECRET_KEY": "mine"})
    problems({"APP_PORT": "no"})

    assert not (tmp_path / "var").exists()


def test_a_damaged_key_is_not_used(problems: Any, write: Write) -> None:
    write("var/secret_key", "")

    assert problems() == ["var/secret_key holds no key: delete it, and a new one is made."]


def test_a_place_that_holds_no_key(problems: Any, write: Write) -> None:
    write("var", "a file")

    assert problems()[0].startswith("SECRET_KEY is not set, and var/secret_key cannot hold one:")


def test_staging_has_its_key_from_outside(problems: Any) -> None:
    assert problems({"APP_ENV": "staging"}) == [
        "SECRET_KEY must be set in staging; make one with: openssl rand -base64 48."
    ]


def test_derived_keys_differ_by_purpose_and_by_secret(load_settings: Any) -> None:
    settings, other = load_settings({"SECRET_KEY": "a" * 40}).settings, load_settings({"SECRET_KEY": "b" * 40}).settings

    assert len({settings.derived_key("objects"), settings.derived_key("csrf"), other.derived_key("objects")}) == 3
    assert settings.derived_key("objects") == load_settings({"SECRET_KEY": "a" * 40}).settings.derived_key("objects")


def test_people_never_see_a_secret(load_settings: Any) -> None:
    loaded = load_settings(
        {
            "SECRET_KEY": "hunter2-secret",
            "CLIENT_SECRET": "hunter2-client",
            "DATABASE_URL": "postgres://app:hunter2@db/shop",
            "DATABASE_MIGRATE_URL": "postgres://owner:hunter2@db/shop",
            "FEATURE_FLAGS": '{"beta": true}',
        }
    )
    rows = {row.name: row for row in loaded.describe()}
    everything = os.linesep.join([repr(loaded), str(loaded.settings), f"{loaded.settings}", *map(str, rows.values())])

    assert "hunter2" not in everything
    assert rows["SECRET_KEY"].value == rows["CLIENT_SECRET"].value == "[hidden]"
    assert rows["DATABASE_URL"].value == "postgresql+asyncpg://app:[hidden]@db/shop"
    assert rows["APP_PORT"] == ("APP_PORT", "8080", "default")
    assert rows["REDIS_URL"].value == ""
    assert '"beta"' in rows["FEATURE_FLAGS"].value
