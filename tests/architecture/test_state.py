"""Services arrive as arguments: no state at module level, and importing a module does nothing but define."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.source import SOURCE, Module, modules

CONSTANT = re.compile(r"_?_?[A-Z][A-Z0-9_]*(__)?$|__\w+__$")
READ_ONLY = ("Final", "Mapping", "Sequence", "Set", "frozenset")
MUTABLE = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
MUTABLE_CALLS = {"dict", "list", "set", "bytearray", "defaultdict", "deque", "OrderedDict", "Counter", "count"}
STATEFUL_CALLS = {"Lock", "RLock", "Event", "Condition", "Semaphore", "Queue", "local", "WeakValueDictionary"}
CHANGES = {"append", "extend", "add", "update", "setdefault", "pop", "popitem", "clear", "insert", "remove", "discard"}
CONTEXT_HOME = "groundplan.core.context"

PROBE = """
import importlib, os, sys

source, *names = sys.argv[1:]
sys.path.insert(0, source)
seen = []

def watch(event, arguments):
    if event == "open":
        path, _, flags = arguments
        ours = str(path).startswith(source) and not str(path).endswith((".py", ".pyc"))
        if ours or (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            seen.append(f"opened {path}")
    elif event in ("socket.bind", "socket.connect", "subprocess.Popen", "os.fork", "sqlite3.connect", "os.mkdir"):
        seen.append(f"{event} {arguments}")

import asyncio, logging, signal, threading
interrupt, terminate = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
sys.addaudithook(watch)
wrong = []
for name in names:
    before = set(os.environ.items())
    importlib.import_module(name)
    if threading.active_count() != 1:
        seen.append("started a thread")
    if logging.getLogger().handlers:
        seen.append("added a handler to the root logger")
    if (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) != (interrupt, terminate):
        seen.append("took over a signal")
    if set(os.environ.items()) != before:
        seen.append("changed the environment")
    wrong += [f"import {name}: {what}" for what in seen]
    seen.clear()
print(*wrong, sep="\\n", end="")
"""


def test_nothing_mutable_is_kept_at_module_level() -> None:
    wrong = [problem for module in modules() for problem in _module_state(module)]
    assert not wrong, "\n".join(wrong)


def test_constants_are_never_changed() -> None:
    wrong = []
    for module in modules():
        constants = {name for name, *_ in _assignments(module) if CONSTANT.match(name)}
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Global):
                wrong.append(f"{module.at(node.lineno)}: global {', '.join(node.names)}")
            elif (name := _changed_name(node)) in constants:
                wrong.append(f"{module.at(getattr(node, 'lineno', 0))}: changes {name}")
    assert not wrong, "\n".join(wrong)


def test_there_is_one_context_variable() -> None:
    homes = [m.name for m in modules() if any("ContextVar" in i.names or i.target == "contextvars" for i in m.imports)]
    assert homes == [CONTEXT_HOME]


def test_importing_a_module_registers_nothing_with_the_process(tmp_path: Path) -> None:
    names = [module.name for module in modules() if module.path.name not in ("__main__.py", "env.py")]
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROBE, str(SOURCE), *names],
        cwd=tmp_path,
        env={"PATH": "", "PYTHONPATH": ":".join(entry for entry in sys.path if "site-packages" in entry)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stdout, done.stdout
    assert not list(tmp_path.iterdir()), "importing left files behind"


def _module_state(module: Module) -> Iterator[str]:
    for name, annotation, value in _assignments(module):
        if isinstance(value, MUTABLE) or _called(value) in MUTABLE_CALLS:
            if not CONSTANT.match(name) and not any(word in annotation for word in READ_ONLY):
                yield f"{module.at(value.lineno)}: {name} can be changed; write it in capitals or annotate it read-only"
        elif _called(value) in STATEFUL_CALLS or (_called(value) == "ContextVar" and module.name != CONTEXT_HOME):
            yield f"{module.at(value.lineno)}: {name} is state of the process; let wiring make it and hand it over"


def _assignments(module: Module) -> Iterator[tuple[str, str, ast.expr]]:
    for node in module.tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, "", node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, ast.unparse(node.annotation), node.value


def _called(value: ast.expr) -> str:
    if not isinstance(value, ast.Call):
        return ""
    return ast.unparse(value.func).rpartition(".")[2].partition("[")[0]


def _changed_name(node: ast.AST) -> str | None:
    """The plain name whose value this node changes in place."""
    if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name):
        return node.value.id
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
        return node.func.value.id if isinstance(node.func.value, ast.Name) else None
    return None
