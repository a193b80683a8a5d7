"""Who is measured, and how each is served: as its users would, on one core."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.common.environments import version

REQUIREMENTS = Path(__file__).parent / "requirements"
Kind = Literal["list", "order", "write"]


@dataclass(frozen=True)
class Contender:
    name: str
    module: str = ""
    """Under ``contenders``; the platform if empty."""
    environment: str = ""
    """Its requirements; our own environment if empty."""
    server: Literal["embedded", "uvicorn", "granian", "granian-wsgi"] = "embedded"
    does: tuple[Kind, ...] = ("list",)
    role: str = "api"
    more: Mapping[str, str] = field(default_factory=dict)
    """Environment variables."""


EVERYTHING: tuple[Kind, ...] = ("list", "order", "write")
OURS = Contender("groundplan", does=EVERYTHING)
OURS_600 = Contender("groundplan with 600 routes", more={"BENCH_MORE_ROUTES": "600"})
OURS_WEB = Contender("groundplan, web and API in one process", role="all")
BARE = Contender("bare Litestar", "litestar_bare", does=EVERYTHING)
USUAL, BARE_FASTAPI = "fastapi-usual", "fastapi-bare"


def peers() -> dict[str, Contender]:
    """By the names that PEERS knows them under; the first is the one of a quick run."""
    return {
        "fastapi-usual": _peer("FastAPI {}, usual stack", "fastapi", "fastapi-usual", "uvicorn", EVERYTHING),
        "fastapi-tuned": _peer("FastAPI {}, tuned stack", "fastapi", "fastapi-tuned", "granian", EVERYTHING),
        "fastapi-bare": _peer("FastAPI {}, bare", "fastapi", "fastapi-bare", "uvicorn"),
        "django-ninja": _peer("Django {} with ninja, bare", "django", "django-ninja", "granian-wsgi"),
        "starlette-bare": _peer("Starlette {} with msgspec, bare", "starlette", "starlette-bare", "embedded"),
    }


def command(contender: Contender, programs: Path, port: int) -> list[str | Path]:
    app = f"benchmarks.http.contenders.{contender.module}:app"
    python = programs / "python"
    granian = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--no-access-log", "--log-level", "error"]
    ways: dict[str, Callable[[], list[str | Path]]] = {
        "embedded": lambda: [python, "-m", "benchmarks.http.contenders.embedded", app, str(port)],
        "uvicorn": lambda: [
            *(python, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(port)),
            *("--no-access-log", "--log-level", "warning"),
        ],
        "granian": lambda: [programs / "granian", "--interface", "asgi", "--loop", "uvloop", *granian, app],
        "granian-wsgi": lambda: [programs / "granian", "--interface", "wsgi", *granian, app],
    }
    return ways[contender.server]()


def _peer(
    title: str,
    package: str,
    environment: str,
    server: Literal["embedded", "uvicorn", "granian", "granian-wsgi"],
    does: tuple[Kind, ...] = ("list",),
) -> Contender:
    name = f"{title.format(version(REQUIREMENTS / f'{environment}.txt', package))} (by {server.partition('-')[0]})"
    return Contender(name.replace("embedded", "granian"), environment.replace("-", "_"), environment, server, does)
