"""The files around the source: what is locked, and what no file may name."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

REGISTRIES = [".".join(host) for host in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"))]
NOT_OURS = {".git", ".venv", ".hypothesis", "__pycache__", "var", "dist"}
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_no_file_names_a_package_registry() -> None:
    naming = [
        str(path.relative_to(ROOT))
        for path in _files(ROOT)
        for text in [path.read_bytes()]
        if any(host.encode() in text for host in REGISTRIES)
    ]
    assert not naming


@pytest.mark.parametrize("name", ["base", "dev", "build"])
def test_every_locked_package_has_an_exact_version_and_hashes(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    requirements = re.split(r"\n(?=[a-z])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    for requirement in requirements:
        assert PIN.match(requirement), requirement.splitlines()[0]
        assert "--hash=sha256:" in requirement, requirement.splitlines()[0]


def test_the_locks_hold_what_pyproject_asks_for(project: dict) -> None:
    base, dev, build = (_pins(f"{name}.txt") for name in ("base", "dev", "build"))
    for requirement in project["project"]["dependencies"]:
        assert _wanted(requirement) in base.items(), f"{requirement} is not in requirements/base.txt: run make lock"
    extras = [each for extra in project["project"]["optional-dependencies"].values() for each in extra]
    for requirement in extras:
        if requirement.startswith("groundplan["):
            continue
        assert _wanted(requirement) in dev.items(), f"{requirement} is not in requirements/dev.txt: run make lock"
    for requirement in project["build-system"]["requires"]:
        assert _wanted(requirement) in build.items(), f"{requirement} is not in requirements/build.txt: run make lock"
    assert base.items() <= dev.items(), "requirements/dev.txt differs from base.txt: run make lock"


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir() and path.name not in NOT_OURS and not path.name.endswith("_cache"):
            yield from _files(path)
        elif path.is_file():
            yield path


def _pins(name: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / "requirements" / name).read_text()))


def _wanted(requirement: str) -> tuple[str, str]:
    name, _, version = requirement.partition("==")
    return re.sub(r"\[.*\]", "", name).lower().replace("_", "-"), version
