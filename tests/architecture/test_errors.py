"""The error tree is drawn in its docstring, and every error grows on it."""

import ast
import builtins
import inspect
import re
from typing import NamedTuple

from groundplan.core import errors
from groundplan.core.errors import GroundplanError
from tests.architecture.source import modules

LINE = re.compile(r"^ {4}(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+) +(?P<status>\d{3})(?P<retry>  retry)?( {2,}|$)")
BUILT_IN = {
    name for name, value in vars(builtins).items() if inspect.isclass(value) and issubclass(value, BaseException)
}


class Entry(NamedTuple):
    name: str
    parent: str
    status: int
    retryable: bool


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    classes = [
        value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, GroundplanError)
    ]
    real = {Entry(c.__name__, c.__base__.__name__, c.status, c.retryable) for c in classes if c.__base__}
    assert set(_drawn()) == real


def test_errors_that_leave_their_room_grow_on_the_one_tree() -> None:
    everything = [module for module in modules() if module.room != "testing" and module.name != errors.__name__]
    beside = {
        (module.name, node.name): module
        for module in everything
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) in BUILT_IN for base in node.bases)
    }
    wrong = [
        f"{module.at(statement.line)}: {name} comes from another room and is not in the tree of core/errors.py"
        for module in everything
        for statement in module.imports
        for name in statement.names
        if (statement.target, name) in beside and beside[statement.target, name].room != module.room
    ]
    assert not wrong, "\n".join(wrong)


def _drawn() -> list[Entry]:
    drawn: list[Entry] = []
    above: dict[int, str] = {-1: "Exception"}
    for line in (errors.__doc__ or "").splitlines():
        if match := LINE.match(line):
            depth = len(match["branch"]) // 4
            above[depth] = match["name"]
            drawn.append(Entry(match["name"], above[depth - 1], int(match["status"]), bool(match["retry"])))
    return drawn
