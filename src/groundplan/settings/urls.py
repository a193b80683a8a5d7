"""Addresses of backends: checked, and brought into the one form that their engines take."""

import re
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from groundplan.settings.parsers import Unfit

POSTGRESQL = "postgresql+asyncpg"
SQLITE = "sqlite+aiosqlite"
_EXAMPLE = "postgresql://user:password@host/name or sqlite:///var/app.db"
_HOST = re.compile(r"[a-z0-9.:-]+")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_PASSED_ON = ("host", "port", "prepared_statement_cache_size")


def path_of(url: str) -> Path:
    """The file or folder behind a normalised ``sqlite`` or ``file`` URL."""
    scheme, _, rest = url.partition("://")
    return Path(unquote(rest) if scheme == "file" else rest.removeprefix("/"))


def user_of(url: str) -> str:
    """The user of a normalised PostgreSQL URL."""
    return unquote(urlsplit(url).username or "")


def database_url(text: str, root: Path) -> str:
    scheme = text.partition("://")[0]
    if scheme in ("postgres", "postgresql", POSTGRESQL):
        return _postgresql(text)
    if scheme in ("sqlite", SQLITE):
        return _sqlite(text, SQLITE, root)
    raise Unfit(f"must be the URL of a PostgreSQL or SQLite database, such as {_EXAMPLE}")


def telemetry_url(text: str, root: Path) -> str:
    if text.partition("://")[0] != "sqlite":
        raise Unfit("must be an SQLite file such as sqlite:///var/telemetry.db; nothing else is supported yet")
    return _sqlite(text, "sqlite", root)


def _postgresql(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        _malformed()
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.fragment or not all(re.fullmatch(r"[a-z_]+", name) for name in parameters):
        _malformed()
    if not host and "host" not in parameters:
        raise Unfit(f"names no host; it looks like {_EXAMPLE}")
    if not parts.path.strip("/"):
        raise Unfit("names no database: add it after the host, as in postgresql://user:password@host/name")
    query = urlencode(_postgresql_parameters(parameters))
    return f"{POSTGRESQL}://{parts.netloc}{parts.path}" + (f"?{query}" if query else "")


def _postgresql_parameters(parameters: dict[str, str]) -> dict[str, str]:
    """What libpq and the hosting companies write, as asyncpg takes it."""
    taken = {name: parameters.pop(name) for name in _PASSED_ON if name in parameters}
    modes = [parameters.pop(name) for name in ("ssl", "sslmode") if name in parameters]
    for mode in modes:
        if mode not in _SSL_MODES:
            raise Unfit(f"must have one of {', '.join(_SSL_MODES)} as its sslmode")
        taken["ssl"] = mode
    if parameters.pop("channel_binding", "prefer") == "require":
        raise Unfit("asks for channel_binding=require, which the driver asyncpg cannot do: take that parameter out")
    if parameters:
        names, known = ", ".join(sorted(parameters)), ", ".join(("sslmode", *_PASSED_ON))
        raise Unfit(f"has parameters that are not supported: {names}; supported are {known}", show=False)
    return taken


def _malformed() -> NoReturn:
    raise Unfit(
        "is not a valid URL; in a password, special characters are percent-encoded: @ is %40, / is %2F, # is %23",
        show=False,
    )


def _sqlite(text: str, scheme: str, root: Path) -> str:
    rest = text.partition("://")[2]
    if rest in ("", "/", "/:memory:"):
        raise Unfit("must name a file: an SQLite database in memory is seen by one connection only")
    if not rest.startswith("/") or "?" in rest:
        raise Unfit("must be sqlite:/// and a path relative to the project, or sqlite://// and an absolute one")
    return f"{scheme}:///{(root / rest[1:]).resolve()}"


def object_storage(text: str, root: Path) -> str:
    scheme, separator, rest = text.partition(":")
    if scheme != "file" or not separator:
        raise Unfit(
            "names a bucket, which is not supported yet: "
            "leave it out, or name a folder by a URL such as file:var/objects or file:///srv/objects"
        )
    path = unquote(rest.removeprefix("//").removeprefix("localhost/"))
    if not path.strip("/"):
        raise Unfit("must name a folder, such as file:var/objects or file:///srv/objects")
    absolute = rest.startswith("//localhost/")
    return ((Path("/") if absolute else root) / path).resolve().as_uri()


def http_url(text: str, root: Path) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or not _HOST.fullmatch(host) or parts.scheme not in ("http", "https"):
        raise Unfit("must be an address such as https://shop.example.com")
    if "@" in parts.netloc or parts.query or parts.fragment or parts.path.strip("/"):
        raise Unfit("must be a scheme, a host and perhaps a port, and nothing more, as in https://shop.example.com")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def http_urls(text: str, root: Path) -> str:
    """One address or several, separated by commas."""
    return ",".join(http_url(part.strip(), root) for part in text.split(","))


def redis_url(text: str, root: Path) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        _malformed()
    if parts.scheme not in ("redis", "rediss") or not host:
        raise Unfit(
            "must be the URL of a Redis or Valkey server: redis://host:6379/0, or rediss:// for TLS", show=False
        )
    if parts.query or parts.fragment or not re.fullmatch(r"/?\d*", parts.path):
        raise Unfit("has more than a host, a port and the number of a database, as in redis://host:6379/0", show=False)
    return text


BROKERS = ("nats", "tls", "redis", "rediss", "amqp", "amqps")
"""Schemes of the brokers that may hand out deliveries."""


def queue_url(text: str, root: Path) -> str:
    if text == "database":
        return text
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        _malformed()
    if parts.scheme not in BROKERS or not host:
        raise Unfit("must be database, or the URL of a broker: nats://host:4222, redis://host:6379, amqp://host:5672")
    return text
