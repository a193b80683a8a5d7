"""A project folder, and how a test loads its settings."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from groundplan.core.errors import ConfigurationError
from groundplan.settings import Loaded, load

Load = Callable[..., Loaded]
Problems = Callable[..., list[str]]
KEY = "kZ3vQ8mT1xN6bR4wY7pL2cF9hJ5gD0sA"
PROD = {
    "APP_ENV": "prod",
    "DATABASE_URL": "postgres://app:pw@db.internal/shop",
    "PUBLIC_URL": "https://shop.example.com",
    "SECRET_KEY": KEY,
}


@pytest.fixture
def load_settings(tmp_path: Path) -> Load:
    def loaded(environ: Mapping[str, str] | None = None, **overrides: str) -> Loaded:
        return load(root=tmp_path, environ=environ or {}, overrides=overrides)

    return loaded


@pytest.fixture
def problems(load_settings: Load) -> Problems:
    """The problems that loading reports, one a line."""

    def found(environ: Mapping[str, str] | None = None, **overrides: str) -> list[str]:
        with pytest.raises(ConfigurationError) as raised:
            load_settings(environ, **overrides)
        heading, *lines = str(raised.value).splitlines()
        assert heading == "The configuration is not valid:"
        return [line.removeprefix("- ") for line in lines]

    return found


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def written(name: str, content: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
        return file

    return written
