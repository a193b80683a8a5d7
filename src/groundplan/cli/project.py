"""The project around the command: its root, its settings, its app. Only what is asked for is loaded."""

import importlib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from groundplan.core.errors import ConfigurationError

if TYPE_CHECKING:
    from groundplan.app.application import App
    from groundplan.settings import Loaded


@dataclass(frozen=True, slots=True)
class Project:
    root: Path
    app_path: str
    """``module:attribute``, from ``[tool.groundplan] app`` in pyproject.toml."""

    def settings(self, **overrides: str | int | None) -> "Loaded":
        from groundplan.settings import load

        given: Mapping[str, str] = {name: str(value) for name, value in overrides.items() if value is not None}
        return load(root=self.root, environ=os.environ, overrides=given)

    def app(self) -> "App":
        from groundplan.app.application import App

        module, _, attribute = self.app_path.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(
                f"The app {self.app_path!r} named in pyproject.toml cannot be loaded: {error}"
            ) from error
        if not isinstance(found, App):
            raise ConfigurationError(f"{self.app_path} is not an App.")
        return found


def find_project(start: Path | None = None) -> Project:
    """The nearest folder upwards whose pyproject.toml has ``[tool.groundplan]``. Raises ConfigurationError."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        file = folder / "pyproject.toml"
        if file.is_file():
            table = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("groundplan", {})
            if "app" in table:
                return Project(folder, table["app"])
    raise ConfigurationError(
        'No project here. Run this in a folder whose pyproject.toml says [tool.groundplan] app = "module:app".'
    )
