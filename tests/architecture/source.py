"""The source tree as data: modules, what they import, and the floors that pyproject.toml lays down."""

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"


class Import(NamedTuple):
    """One imported module; ``names`` are what ``from ... import`` takes out of it."""

    target: str
    names: tuple[str, ...]
    line: int
    for_types_only: bool


@dataclass(frozen=True)
class Module:
    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        return tuple(_imports(self.tree, for_types_only=False))

    @property
    def room(self) -> str:
        """The first folder or file below the top package: ``groundplan.data.cache.port`` lives in ``data``."""
        return self.name.partition(".")[2].partition(".")[0]

    def at(self, line: int) -> str:
        return f"{self.path.relative_to(ROOT)}:{line}"


def modules(package: str = "") -> list[Module]:
    """All modules of ``groundplan`` and ``shop``, or those of one package."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if not package or is_within(name, package):
            found.append(Module(name, path))
    return found


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def imported_modules(module: Module, known: set[str]) -> Iterator[tuple[str, Import]]:
    """The modules among ``known`` that ``module`` names, ``from package import module`` resolved to the module."""
    for statement in module.imports:
        submodules = [f"{statement.target}.{name}" for name in statement.names if f"{statement.target}.{name}" in known]
        for name in submodules:
            yield name, statement
        if statement.target in known and len(submodules) < max(1, len(statement.names)):
            yield statement.target, statement


def floors() -> dict[str, int]:
    """Room -> floor, higher is higher, as import-linter's contract of the platform has it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(each for each in settings["contracts"] if each.get("containers") == ["groundplan"])["layers"]
    return {room.strip(" ()"): floor for floor, layer in enumerate(reversed(layers)) for room in layer.split("|")}


def _imports(node: ast.AST, *, for_types_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, (), child.lineno, for_types_only)
        elif isinstance(child, ast.ImportFrom):
            yield Import(child.module or "", tuple(a.name for a in child.names), child.lineno, for_types_only)
        else:
            guard = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
            yield from _imports(child, for_types_only=for_types_only or guard)
