"""``groundplan dev``: one child process serves everything; a saved change replaces it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from groundplan.cli.project import Project, find_project

_WATCHED = (".py", ".html", ".css", ".js", ".svg", ".yaml", ".csv", ".env", ".toml")


def dev(port: int | None) -> int:
    from watchfiles import watch

    project = find_project()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    child = _start(project, port)
    folders = [path for path in (project.root / "src", project.root / "config", project.root / ".env") if path.exists()]
    try:
        for changes in watch(
            *folders,
            watch_filter=_is_ours,
            debounce=150,
            step=30,
            rust_timeout=500,
            yield_on_timeout=True,
            stop_event=stop,
            raise_interrupt=False,
        ):
            if changes:
                print(f"Changed: {_names({path for _, path in changes})}", flush=True)
                _stop(child)
                child = _start(project, port)
            elif child.poll() == 2:
                return 2  # the configuration is wrong; what and why has been said
    finally:
        _stop(child)
    return 0


def _names(paths: set[str]) -> str:
    names = sorted({Path(path).name for path in paths})
    return ", ".join(names[:3]) + (" and more" if len(names) > 3 else "")


def _start(project: Project, port: int | None) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "groundplan.cli", "run", "--role", "all", "--prepare"]
    if port is not None:
        command += ["--port", str(port)]
    environment = os.environ | {
        "APP_ENV": "local",
        "GROUNDPLAN_PARENT_PIPE": "1",
        "PYTHONPYCACHEPREFIX": str(project.root / "var" / "pycache"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling everything anew costs a second at every start
    # A group of its own: Ctrl-C reaches this process alone, which then stops the child in order.
    return subprocess.Popen(command, cwd=project.root, env=environment, stdin=subprocess.PIPE, start_new_session=True)


def _stop(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _is_ours(_: object, path: str) -> bool:
    return path.endswith(_WATCHED) and "/__pycache__/" not in path and "/var/" not in path
