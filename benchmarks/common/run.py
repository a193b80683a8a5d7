"""What a run was asked for, and where its servers keep their files."""

import os
import tempfile
from pathlib import Path

from benchmarks.common.machine import BenchmarkFailed
from groundplan.testing.account import Account


def asked(variable: str, default: list[str], known: list[str]) -> list[str]:
    """The names in the environment variable. Raises BenchmarkFailed if one is not among ``known``."""
    given = os.environ.get(variable, "")
    names = given.split(",") if given else default
    if strange := [name for name in names if name not in known]:
        raise BenchmarkFailed(f"{variable} knows {', '.join(known)}, and not {', '.join(strange)}.")
    return names


def data_folder(folder: Path) -> Path:
    """Beside the results if the servers' account can get there, else the system's temporary folder."""
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    return data if Account.unprivileged().reaches(data) else Path(tempfile.gettempdir())
