"""Sources to snapshot: every problem is found before the first is reported."""

import contextlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from groundplan.core.errors import ConfigurationError
from groundplan.core.redaction import HIDDEN
from groundplan.settings.catalogue import VARIABLES, Variable
from groundplan.settings.parsers import Unfit
from groundplan.settings.production import KEY_BYTES, refusals
from groundplan.settings.snapshot import Settings
from groundplan.settings.sources import (
    Given,
    from_command_line,
    from_dotenv,
    from_environment,
    from_yaml,
    is_reference,
    resolve,
)

_DEFAULT = "default"
_SHOWN_CHARACTERS = 80
_KEY_FILE = "var/secret_key"


class SettingRow(NamedTuple):
    name: str
    """In the environment."""
    value: str
    """Secrets hidden."""
    origin: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and where each came from."""

    settings: Settings
    origins: Mapping[str, str]

    def origin(self, field: str) -> str:
        """Such as "default", "config/local.yaml", ".env", "environment APP_PORT", "command line --port"."""
        return self.origins[field]

    def describe(self) -> list[SettingRow]:
        return [SettingRow(v.name, v.shown(getattr(self.settings, v.field)), self.origins[v.field]) for v in VARIABLES]


def load(*, root: Path, environ: Mapping[str, str], overrides: Mapping[str, str] | None = None) -> Loaded:
    """Defaults < config/<env>.yaml < environment (in local also .env, below the real one) < command line.

    ``overrides`` are the command line's, by the name of the field.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """
    root = root.resolve()
    problems: list[str] = []
    given = _gather(root, environ, overrides or {}, problems)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for variable in VARIABLES:
        found = given.get(variable.field)
        origins[variable.field] = found.origin if found else _DEFAULT
        try:
            values[variable.field] = _parse(variable, found, root)
        except Unfit as error:
            problems.append(_in_words(variable, found, error))
    _complete(values, origins, root, problems)
    if values.get("env") == "prod":
        problems.extend(refusals(values, origins))
    if problems:
        lines = "\n".join(f"- {problem}." for problem in problems)
        raise ConfigurationError(f"The configuration is not valid:\n{lines}")
    return Loaded(Settings(root=root, **values), origins)


def _gather(
    root: Path, environ: Mapping[str, str], overrides: Mapping[str, str], problems: list[str]
) -> dict[str, Given]:
    above = from_environment(environ) | from_command_line(overrides, problems)
    try:
        env = _parse(VARIABLES[0], above.get("env"), root)
    except Unfit:
        return above
    dotenv = from_dotenv(root, problems) if env == "local" else {}
    return from_yaml(root, env, problems) | dotenv | above


def _parse(variable: Variable, given: Given | None, root: Path) -> Any:
    if given is not None:
        return variable.parse(resolve(given, root).text, root)
    return None if variable.default is None else variable.parse(variable.default, root)


def _in_words(variable: Variable, given: Given | None, error: Unfit) -> str:
    source = given.source if given else _DEFAULT
    if given is None or not error.show:
        return f"{variable.name} {error.words} ({source})"
    redacted = HIDDEN if is_reference(given.text) else variable.redact(given.text)
    value = redacted if redacted == HIDDEN else repr(redacted[:_SHOWN_CHARACTERS])
    return f"{variable.name} {error.words}, but is {value} ({source})"


def _complete(values: dict[str, Any], origins: dict[str, str], root: Path, problems: list[str]) -> None:
    """The values that follow from others, and what must fit together."""
    env = values.get("env")
    if "host" in values and values["host"] is None:
        values["host"] = "127.0.0.1" if env == "local" else "0.0.0.0"
    if "public_url" in values and values["public_url"] is None:
        values["public_url"] = f"http://localhost:{values.get('port', 8080)}"
    database, owner = values.get("database_url"), values.get("database_migrate_url")
    if database and owner and database.partition(":")[0] != owner.partition(":")[0]:
        problems.append("DATABASE_MIGRATE_URL and DATABASE_URL must name the same database")
    if values.get("external_auth_domain") and "client_id" in values and values["client_id"] is None:
        problems.append("CLIENT_ID must be set where EXTERNAL_AUTH_DOMAIN is")
    if "secret_key" in values and values["secret_key"] is None:
        if env in ("staging", "prod"):
            problems.append(f"SECRET_KEY must be set in {env}; make one with: openssl rand -base64 48")
        elif not problems:
            values["secret_key"], origins["secret_key"] = _own_key(root, problems), _KEY_FILE


def _own_key(root: Path, problems: list[str]) -> str:
    """The key in var/secret_key; made on the first start, and once only where several processes start together."""
    file = root / _KEY_FILE
    try:
        if not file.exists():
            _make_key(file)
        key = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        problems.append(f"SECRET_KEY is not set, and {_KEY_FILE} cannot hold one: {error}")
        return ""
    if len(key) < KEY_BYTES:
        problems.append(f"{_KEY_FILE} holds no key: delete it, and a new one is made")
    return key


def _make_key(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(secrets.token_urlsafe(48))
    with contextlib.suppress(FileExistsError):
        file.hardlink_to(fresh)
    fresh.unlink()
