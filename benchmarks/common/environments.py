"""An environment of its own for each peer: made from its pinned requirements, and used again until those change."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.common.machine import BenchmarkFailed

Say = Callable[[str], None]


def ready(folder: Path, requirements: Path, say: Say) -> Path:
    """The programs' folder of the environment named like the file ``requirements``, made now if need be.

    Raises:
        BenchmarkFailed: it cannot be installed.
    """
    name = requirements.stem
    place = folder / "venvs" / name
    wanted, stamp = requirements.read_text(), place / "installed"
    if not stamp.is_file() or stamp.read_text() != wanted:
        say(f"Installing {name}: {len(wanted.split())} pinned packages into {place}")
        _install(name, requirements, place)
        stamp.write_text(wanted)
    return place / "bin"


def version(requirements: Path, package: str) -> str:
    """The pinned version of ``package`` in the file ``requirements``."""
    for line in requirements.read_text().splitlines():
        pinned, _, rest = line.partition("==")
        if pinned.partition("[")[0] == package:
            return rest.split()[0]
    raise LookupError(f"{package} is not in {requirements.name}")


def _install(name: str, requirements: Path, place: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    if uv.is_file():
        _run(name, [uv, "venv", "--quiet", "--clear", "--python", sys.executable, place])
        _run(name, [uv, "pip", "install", "--quiet", "--python", place / "bin" / "python", "-r", requirements])
        return
    _run(name, [sys.executable, "-m", "venv", "--clear", place])
    _run(name, [place / "bin" / "python", "-m", "pip", "install", "--quiet", "-r", requirements])


def _run(name: str, command: Sequence[str | Path]) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkFailed(
            f"{name} cannot be installed. It needs a package index that pip or uv can reach, as for make dev. "
            f"It said:\n{(done.stdout + done.stderr).strip()[-2000:]}"
        )
