"""How rooms are furnished: small files, small ports, adapters named in one place, the framework kept at the edge."""

import ast
import re
import warnings
from collections.abc import Iterator

import pytest

from tests.architecture.source import SOURCE, Module, is_within, modules

WARN_LINES = 300
MOST_LINES = 400
MOST_METHODS = 7
LIFECYCLE = {"open", "close", "ping"}
ADAPTER = re.compile(r"^(groundplan(?:\.\w+)+):\w+$")
LITESTAR_ROOMS = {"app", "backend", "accounts", "console"}


@pytest.mark.filterwarnings("default:.*lines:UserWarning")
def test_files_are_split_by_concept_before_they_grow_long() -> None:
    lengths = {module: module.text.count("\n") for module in modules()}
    for module, lines in lengths.items():
        if lines > WARN_LINES:
            warnings.warn(f"{module.at(lines)}: {lines} lines; which concepts does it hold?", stacklevel=1)
    too_long = [module.at(lines) for module, lines in lengths.items() if lines > MOST_LINES]
    assert not too_long, f"more than {MOST_LINES} lines: {too_long}"


def test_a_port_is_small() -> None:
    wrong = [
        f"{module.at(port.lineno)}: {port.name} has {len(methods)} methods besides {sorted(LIFECYCLE)}"
        for module in modules()
        if module.path.name == "port.py"
        for port in ast.walk(module.tree)
        if isinstance(port, ast.ClassDef) and any(ast.unparse(base).startswith("Protocol") for base in port.bases)
        for methods in [_public_methods(port) - LIFECYCLE]
        if len(methods) > MOST_METHODS
    ]
    assert not wrong, "\n".join([*wrong, "if it needs more, it is two ports"])


def test_a_port_and_its_adapters_share_one_folder() -> None:
    adapters = _adapters()
    assert adapters, "wiring names every adapter as 'module:Class'"
    for name in adapters:
        path = SOURCE.joinpath(*name.split("."))
        assert path.with_suffix(".py").exists() or path.is_dir(), f"wiring names {name}, which is not there"
        assert (path.parent / "port.py").exists(), f"wiring names {name}, which has no port.py beside it"


def test_only_wiring_names_adapters() -> None:
    adapters = _adapters()
    wrong = []
    for module in modules():
        if module.room in ("testing", "wiring"):
            continue
        folder = module.name if module.path.name == "__init__.py" else module.name.rpartition(".")[0]
        named = [(s.target, s.line) for s in module.imports]
        named += [(f"{s.target}.{name}", s.line) for s in module.imports for name in s.names]
        named += [(text.partition(":")[0], line) for text, line in _strings(module) if ADAPTER.match(text)]
        wrong += [
            f"{module.at(line)}: names the adapter {name}"
            for name, line in named
            if name in adapters and not is_within(name, folder)
        ]
    assert not wrong, "\n".join(wrong)


def test_the_web_framework_stays_at_the_edge() -> None:
    wrong = [
        f"{module.at(statement.line)}: imports {statement.target}"
        for module in modules()
        if not _may_import_litestar(module)
        for statement in module.imports
        if is_within(statement.target, "litestar")
    ]
    assert not wrong, "\n".join(wrong)


def _may_import_litestar(module: Module) -> bool:
    if is_within(module.name, "groundplan.integrations"):
        return "sandbox" in module.name
    return is_within(module.name, "groundplan") and module.room in LITESTAR_ROOMS | {"testing"}


def _public_methods(port: ast.ClassDef) -> set[str]:
    functions = (node for node in port.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if not function.name.startswith("_")}


def _adapters() -> set[str]:
    wiring = [module for module in modules("groundplan") if module.room == "wiring"]
    return {match[1] for module in wiring for text, _ in _strings(module) if (match := ADAPTER.match(text))}


def _strings(module: Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node.lineno
