"""Production refuses what is insecure, all of it at once."""

from typing import Any

import pytest

from tests.settings.conftest import PROD


def test_a_sound_configuration_starts(load_settings: Any) -> None:
    settings = load_settings(PROD | {"DATABASE_MIGRATE_URL": "postgres://owner:pw@db.internal/shop"}).settings

    assert (settings.env, settings.host) == ("prod", "0.0.0.0")


def test_nothing_set(problems: Any) -> None:
    assert problems({"APP_ENV": "prod"}) == [
        "SECRET_KEY must be set in prod; make one with: openssl rand -base64 48.",
        "DATABASE_URL must be set in prod, to a PostgreSQL database.",
        "PUBLIC_URL must be set in prod, to the https:// address that browsers use.",
    ]


def test_everything_insecure(problems: Any) -> None:
    insecure = {
        "APP_ENV": "prod",
        "SECRET_KEY": "short",
        "DATABASE_URL": "sqlite:///var/app.db",
        "PUBLIC_URL": "http://shop.example.com",
        "LOG_LEVEL": "debug",
        "CUSTOMER_URLS": "any",
    }

    assert problems(insecure) == [
        "SECRET_KEY must have at least 32 bytes in prod, and has 5.",
        "DATABASE_URL must be a PostgreSQL database in prod; SQLite is for one process on one machine.",
        "PUBLIC_URL must start with https:// in prod, but is 'http://shop.example.com' (environment PUBLIC_URL).",
        "CUSTOMER_URLS must be public in prod, or customers reach our inside (environment CUSTOMER_URLS).",
        "LOG_LEVEL must not be debug in prod, where it would log what people send (environment LOG_LEVEL).",
    ]


@pytest.mark.parametrize(
    "key", ["a" * 64, "change-me-change-me-change-me-change-me", "an example of a key, nothing more!"]
)
def test_a_placeholder_is_no_key(problems: Any, key: str) -> None:
    assert problems(PROD | {"SECRET_KEY": key}) == [
        "SECRET_KEY looks like a placeholder; make a real one with: openssl rand -base64 48."
    ]


def test_the_application_is_not_the_owner(problems: Any) -> None:
    assert problems(PROD | {"DATABASE_MIGRATE_URL": "postgres://app:other@db.internal/shop"}) == [
        "DATABASE_MIGRATE_URL and DATABASE_URL must not have the same user in prod: "
        "the application runs as a role that owns nothing."
    ]


def test_what_could_not_be_read_is_reported_once(problems: Any) -> None:
    assert problems(PROD | {"DATABASE_URL": "mysql://db/shop", "SECRET_KEY": "\x07"}) == [
        "DATABASE_URL must be the URL of a PostgreSQL or SQLite database, such as "
        "postgresql://user:password@host/name or sqlite:///var/app.db, but is 'mysql://db/shop' (environment).",
        "SECRET_KEY must not contain control characters (environment).",
    ]
