"""Addresses of backends: normalised, resolved, and refused with what is supported."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from groundplan.settings import path_of
from groundplan.wiring import BROKERS, SCHEMES, load


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("postgres://app:pw@db/shop", "postgresql+asyncpg://app:pw@db/shop"),
        ("postgresql://app:p%40w@db:6432/shop", "postgresql+asyncpg://app:p%40w@db:6432/shop"),
        ("postgresql+asyncpg://db/shop", "postgresql+asyncpg://db/shop"),
        ("postgres://db/shop?sslmode=require", "postgresql+asyncpg://db/shop?ssl=require"),
        ("postgres://db/shop?ssl=verify-full", "postgresql+asyncpg://db/shop?ssl=verify-full"),
        ("postgres://db/shop?channel_binding=prefer", "postgresql+asyncpg://db/shop"),
        ("postgres:///shop?host=/run/postgresql", "postgresql+asyncpg:///shop?host=%2Frun%2Fpostgresql"),
        ("postgres://[::1]:5432/shop", "postgresql+asyncpg://[::1]:5432/shop"),
    ],
)
def test_postgresql(load_settings: Any, given: str, taken: str) -> None:
    url = load_settings({"DATABASE_URL": given}).settings.database_url

    assert url == taken
    assert make_url(url).database == "shop"


def test_sqlite_paths_are_relative_to_the_project(load_settings: Any, tmp_path: Path) -> None:
    settings = load_settings().settings
    assert settings.database_url == f"sqlite+aiosqlite:///{tmp_path}/var/app.db"
    assert settings.telemetry_url == f"sqlite:///{tmp_path}/var/telemetry.db"
    assert path_of(settings.telemetry_url) == tmp_path / "var/telemetry.db"

    settings = load_settings({"DATABASE_URL": "sqlite:////srv/../srv/a b.db"}).settings
    assert settings.database_url == "sqlite+aiosqlite:////srv/a b.db"
    assert make_url(settings.database_url).database == "/srv/a b.db"
    assert path_of(settings.database_url) == Path("/srv/a b.db")


@pytest.mark.parametrize(
    ("given", "folder"),
    [
        ("file:var/objects", "{root}/var/objects"),
        ("file://var/objects", "{root}/var/objects"),
        ("file:///srv/my%20objects", "/srv/my objects"),
        ("file://localhost/srv/objects", "/srv/objects"),
    ],
)
def test_folders_of_objects(load_settings: Any, tmp_path: Path, given: str, folder: str) -> None:
    url = load_settings({"OBJECT_STORAGE_BUCKET": given}).settings.object_storage

    assert path_of(url) == Path(folder.format(root=tmp_path))
    assert url.startswith("file:///")


@pytest.mark.parametrize("scheme", ["nats", "tls", "redis", "rediss", "amqp", "amqps"])
def test_a_broker_is_chosen_by_its_url_alone(load_settings: Any, scheme: str) -> None:
    url = f"{scheme}://app:pw@broker:1234"

    assert load_settings({"QUEUE_URL": url}).settings.queue_url == url
    assert load(BROKERS[SCHEMES[scheme]]).__name__.endswith("Broker")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DATABASE_URL", "mysql://db/shop", "must be the URL of a PostgreSQL or SQLite database"),
        ("DATABASE_URL", "postgresql+psycopg://db/shop", "must be the URL of a PostgreSQL or SQLite database"),
        ("DATABASE_URL", "postgres://db", "names no database"),
        ("DATABASE_URL", "postgres:///shop", "names no host"),
        ("DATABASE_URL", "postgres://db:none/shop", "is not a valid URL"),
        ("DATABASE_URL", "postgres://db/shop?sslmode=yes", "must have one of disable, allow"),
        ("DATABASE_URL", "postgres://db/shop?channel_binding=require", "asks for channel_binding=require"),
        ("DATABASE_URL", "postgres://db/shop?options=-c", "has parameters that are not supported: options;"),
        ("DATABASE_URL", "sqlite://var/app.db", "must be sqlite:/// and a path relative to the project"),
        ("DATABASE_URL", "sqlite:///var/app.db?mode=ro", "must be sqlite:/// and a path"),
        ("DATABASE_URL", "sqlite://", "must name a file"),
        ("DATABASE_URL", "sqlite:///:memory:", "must name a file"),
        ("TELEMETRY_URL", "postgres://db/t", "must be an SQLite file"),
        ("REDIS_URL", "memcached://cache", "must be the URL of a Redis or Valkey server"),
        ("REDIS_URL", "redis://", "must be the URL of a Redis or Valkey server"),
        ("REDIS_URL", "redis://cache:none", "is not a valid URL"),
        ("REDIS_URL", "redis://cache/shop", "has more than a host, a port and the number of a database"),
        ("REDIS_URL", "redis://cache/0?ssl=no", "has more than a host, a port and the number of a database"),
        ("QUEUE_URL", "kafka://broker:9092", "must be database, or the URL of a broker"),
        ("QUEUE_URL", "nats://", "must be database, or the URL of a broker"),
        ("OBJECT_STORAGE_BUCKET", "shop-objects", "names a bucket, which is not supported yet"),
        ("OBJECT_STORAGE_BUCKET", "s3://shop-objects", "names a bucket, which is not supported yet"),
        ("OBJECT_STORAGE_BUCKET", "file://", "must name a folder"),
        ("PUBLIC_URL", "shop.example.com", "must be an address such as https://shop.example.com"),
        ("PUBLIC_URL", "ftp://shop.example.com", "must be an address such as"),
        ("PUBLIC_URL", "https://shop .example.com", "must be an address such as"),
        ("API_URL", "http://api:99999", "must be an address such as"),
        ("API_URL", "http://api/v1", "must be a scheme, a host and perhaps a port"),
        ("APP_HOST", "not a host", "must be a host name or an IP address"),
        ("EXTERNAL_AUTH_DOMAIN", "no domain", "must be a domain such as login.example.com"),
    ],
)
def test_what_is_refused(problems: Any, name: str, value: str, words: str) -> None:
    (problem,) = problems({name: value, "CLIENT_ID": "shop"})

    assert problem.startswith(f"{name} {words}")


def test_the_owner_uses_the_same_kind_of_database(problems: Any) -> None:
    assert problems({"DATABASE_MIGRATE_URL": "postgres://owner@db/shop"}) == [
        "DATABASE_MIGRATE_URL and DATABASE_URL must name the same database."
    ]


def test_networks(load_settings: Any, problems: Any) -> None:
    assert load_settings().settings.customer_urls_denied == ""
    settings = load_settings({"CUSTOMER_URLS_DENIED": " 198.51.100.7, 2606:0:0::/32,"}).settings
    assert settings.customer_urls_denied == "198.51.100.7/32,2606::/32"
    for wrong in ("198.51.100.0/33", "198.51.100.1/24", "example.com"):
        assert problems({"CUSTOMER_URLS_DENIED": wrong}) == [
            "CUSTOMER_URLS_DENIED must be networks such as 198.51.100.0/24, separated by commas, "
            f"but is '{wrong}' (environment)."
        ]
