"""Asks a running platform the questions that tell whether it serves at all.

    python scripts/smoke.py https://staging.example.com    asks that one
    python scripts/smoke.py                                starts one in an empty folder, asks it, stops it

Changes nothing. Exit code 1 if any answer is not the expected one.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPMessage
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

ROOT = Path(__file__).parents[1]
START_SECONDS = 60.0


class Question(NamedTuple):
    path: str
    status: int
    content_type: str
    what: str


QUESTIONS = (
    Question("/healthz", 200, "application/json", "the process is alive"),
    Question("/readyz", 200, "application/json", "its dependencies are there"),
    Question("/", 200, "text/html", "pages are rendered"),
    Question("/api/v1/products?limit=1", 200, "application/json", "the API reads the database"),
    Question("/api/v1/orders", 401, "application/problem+json", "the API asks who is calling"),
    Question("/api/v1/no-such-thing", 404, "application/problem+json", "unknown paths are refused in words"),
    Question("/console", 303, "", "the console sends strangers to sign in"),
    Question("/docs", 200, "text/html", "the API is documented"),
)


class Answer(NamedTuple):
    status: int
    headers: HTTPMessage
    milliseconds: float


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def ask(url: str) -> Answer:
    """Raises OSError where nobody answers."""
    started = time.perf_counter()
    try:
        with build_opener(_NoRedirects).open(Request(url), timeout=10) as response:
            response.read()
            status, headers = response.status, response.headers
    except HTTPError as refused:
        with refused:
            status, headers = refused.code, refused.headers
    return Answer(status, headers, (time.perf_counter() - started) * 1000)


def check(base: str) -> int:
    """How many answers were wrong."""
    wrong = 0
    for question in QUESTIONS:
        try:
            answer = ask(base + question.path)
        except OSError as error:
            problem, timing = f"no answer: {error}", ""
        else:
            got = answer.headers.get_content_type() if question.content_type else ""
            fits = answer.status == question.status and got == question.content_type
            problem = "" if fits else f"expected {question.status} {question.content_type}, got {answer.status} {got}"
            timing = f"{answer.milliseconds:.0f} ms"
        wrong += bool(problem)
        print(f"  {'FAIL' if problem else 'ok':4}  {question.path:28} {timing:>8}  {problem or question.what}")
    print(f"{len(QUESTIONS) - wrong} of {len(QUESTIONS)} answers as expected")
    return wrong


@contextmanager
def started_platform() -> Iterator[str]:
    """The address of a platform of its own: all roles, embedded backends, demonstration data, a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="groundplan-smoke-") as name:
        project = Path(name)
        shutil.copy(ROOT / "pyproject.toml", project)
        shutil.copytree(ROOT / "config", project / "config")
        port = _free_port()
        base = f"http://127.0.0.1:{port}"
        process = subprocess.Popen(
            [sys.executable, "-m", "groundplan.cli", "run", "--role", "all", "--prepare", "--port", str(port)],
            cwd=project,
            env={"PATH": os.environ.get("PATH", ""), "LOG_LEVEL": "warn", "DRAIN_SECONDS": "0"},
        )
        try:
            began = time.monotonic()
            while not _is_ready(base):
                if process.poll() is not None or time.monotonic() - began > START_SECONDS:
                    sys.exit("The platform did not start; what it said is above.")
                time.sleep(0.05)
            print(f"started in {time.monotonic() - began:.1f} s, with migrations and seed")
            yield base
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _is_ready(base: str) -> bool:
    try:
        return ask(f"{base}/readyz").status == 200
    except (URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> int:
    if len(sys.argv) > 1:
        return min(1, check(sys.argv[1].rstrip("/")))
    with started_platform() as base:
        return min(1, check(base))


if __name__ == "__main__":
    sys.exit(main())
