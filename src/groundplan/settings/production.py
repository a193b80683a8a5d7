"""What production refuses to start with."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from groundplan.settings.urls import user_of

KEY_BYTES = 32
_PLACEHOLDER = re.compile(r"(change|replace).?(me|this|it)|example|placeholder|insecure|your.?secret|default", re.I)


def refusals(values: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[str]:
    """One sentence for each insecure value. ``values`` lacks what could not be read, about which enough is said."""
    yield from _secret_key(values)
    database = values.get("database_url", "")
    if origins.get("database_url") == "default":
        yield "DATABASE_URL must be set in prod, to a PostgreSQL database"
    elif database.startswith("sqlite"):
        yield "DATABASE_URL must be a PostgreSQL database in prod; SQLite is for one process on one machine"
    owner = values.get("database_migrate_url")
    if owner and database and user_of(owner) == user_of(database):
        yield (
            "DATABASE_MIGRATE_URL and DATABASE_URL must not have the same user in prod: "
            "the application runs as a role that owns nothing"
        )
    if origins.get("public_url") == "default":
        yield "PUBLIC_URL must be set in prod, to the https:// address that browsers use"
    elif values.get("public_url", "").startswith("http://"):
        yield f"PUBLIC_URL must start with https:// in prod, but is {values['public_url']!r} ({origins['public_url']})"
    if values.get("customer_urls") == "any":
        yield f"CUSTOMER_URLS must be public in prod, or customers reach our inside ({origins['customer_urls']})"
    if values.get("log_level") == "debug":
        yield f"LOG_LEVEL must not be debug in prod, where it would log what people send ({origins['log_level']})"


def _secret_key(values: Mapping[str, Any]) -> Iterator[str]:
    if "secret_key" not in values:
        return
    key = values["secret_key"]
    if key is None:
        return
    if len(key.encode()) < KEY_BYTES:
        yield f"SECRET_KEY must have at least {KEY_BYTES} bytes in prod, and has {len(key.encode())}"
    elif len(set(key)) < 8 or _PLACEHOLDER.search(key):
        yield "SECRET_KEY looks like a placeholder; make a real one with: openssl rand -base64 48"
