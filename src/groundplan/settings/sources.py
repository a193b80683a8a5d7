"""Where texts come from: config/<env>.yaml, .env, the environment, the command line, and files that they refer to."""

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from groundplan.settings.catalogue import VARIABLES
from groundplan.settings.parsers import Unfit

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)\s*=(.*)")
_QUOTED = re.compile(r"""\s*(?:'([^']*)'|"((?:[^"\\]|\\.)*)")\s*(?:#.*)?""")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_MANAGERS = {"ref+vault": "Vault", "ref+awssm": "AWS Secrets Manager", "ref+gcpsm": "GCP Secret Manager"}


class Given(NamedTuple):
    text: str
    source: str
    """In words, for error messages: "environment"."""
    origin: str
    """The same and more exact: "environment APP_PORT"."""


def from_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    """An empty variable counts as not set."""
    return {
        variable.field: Given(environ[variable.name].strip(), "environment", f"environment {variable.name}")
        for variable in VARIABLES
        if environ.get(variable.name, "").strip()
    }


def from_command_line(overrides: Mapping[str, str], problems: list[str]) -> dict[str, Given]:
    fields = {variable.field for variable in VARIABLES}
    given = {}
    for name, text in overrides.items():
        field = name.replace("-", "_")
        flag = f"--{field.replace('_', '-')}"
        if field in fields:
            given[field] = Given(text.strip(), "command line", f"command line {flag}")
        else:
            problems.append(f"{flag} is not a setting{_nearest(field)}")
    return given


def from_dotenv(root: Path, problems: list[str]) -> dict[str, Given]:
    file = root / ".env"
    if not file.is_file():
        return {}
    environ: dict[str, str] = {}
    for number, line in enumerate(_read(file, ".env", problems).splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        value = _dotenv_value(match[2]) if match else None
        if match is None or value is None:
            problems.append(f".env, line {number}, is not NAME=value")
        else:
            environ[match[1]] = value
    found = from_environment(environ)
    given = {field: value._replace(source=".env", origin=".env") for field, value in found.items()}
    if given.pop("env", Given("local", "", "")).text != "local":
        problems.append(".env is read in local only, so it cannot set another APP_ENV; set that in the environment")
    return given


def _dotenv_value(text: str) -> str | None:
    """Bare up to a comment, literal in single quotes, with escapes in double ones; None where a quote does not end."""
    match = _QUOTED.fullmatch(text)
    if match is None:
        bare = re.split(r"\s#", text, maxsplit=1)[0].strip()
        return None if bare.startswith(("'", '"')) else bare
    if match[1] is not None:
        return match[1]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), match[2])


def from_yaml(root: Path, env: str, problems: list[str]) -> dict[str, Given]:
    name = f"config/{env}.yaml"
    file = root / name
    if not file.is_file():
        return {}
    try:
        document = yaml.safe_load(_read(file, name, problems)) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problems.append(f"{name} is not valid YAML{where}")
        return {}
    if not isinstance(document, dict):
        problems.append(f"{name} must hold settings as name: value")
        return {}
    variables = {variable.field: variable for variable in VARIABLES}
    given = {}
    for key, value in document.items():
        if key not in variables:
            problems.append(f"{name}: {key!r} is not a setting{_nearest(str(key))}")
        elif key == "env":
            problems.append(f"{name} cannot set env, which chooses this file; set APP_ENV in the environment")
        elif value is not None:
            found = Given(_as_text(value), name, name)
            if not is_reference(found.text) and variables[key].redact(found.text) != found.text:
                problems.append(
                    f"{variables[key].name} is a secret or holds one, and {name} is no place for it; "
                    "set it in the environment, or refer to it with ref+file://"
                )
            elif isinstance(value, list | dict) and key != "feature_flags":
                problems.append(f"{variables[key].name} must be a single value, but is not ({name})")
            else:
                given[key] = found
    return given


def resolve(given: Given, root: Path) -> Given:
    """What a reference (``ref+file://path``) refers to; any other text as it is. Raises Unfit."""
    if not is_reference(given.text):
        return given
    scheme, _, rest = given.text.partition("://")
    if scheme in _MANAGERS:
        raise Unfit(f"refers to {_MANAGERS[scheme]}, which is not supported yet; ref+file:// is", show=False)
    if scheme != "ref+file" or not rest:
        raise Unfit("is a reference of an unknown kind; what is supported is ref+file://path", show=False)
    try:
        text = (root / rest).read_text(encoding="utf-8")
    except OSError as error:
        raise Unfit(f"refers to the file {rest}, which cannot be read: {error.strerror}", show=False) from None
    except UnicodeDecodeError:
        raise Unfit(f"refers to the file {rest}, which is not UTF-8 text", show=False) from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise Unfit(f"refers to the file {rest}, which is empty", show=False)
    return given._replace(text=text)


def is_reference(text: str) -> bool:
    return text.startswith("ref+")


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    return json.dumps(value, default=str)


def _nearest(name: str) -> str:
    known = {v.name.lower(): v.field for v in VARIABLES} | {v.field: v.field for v in VARIABLES}
    close = get_close_matches(name.lower(), known, n=1)
    return f"; the nearest is {known[close[0]]!r}" if close else ""


def _read(file: Path, name: str, problems: list[str]) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        problems.append(f"{name} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        problems.append(f"{name} is not UTF-8 text")
    return ""
