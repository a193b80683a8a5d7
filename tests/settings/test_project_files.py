"""The files of this project: every environment loads, and .env.example names every setting."""

from pathlib import Path

import pytest

from groundplan.settings import load
from groundplan.settings.catalogue import VARIABLES
from tests.settings.conftest import PROD

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("env", ["local", "ci", "staging", "prod"])
def test_every_environment_loads_with_its_file(env: str) -> None:
    loaded = load(root=ROOT, environ=PROD | {"APP_ENV": env})

    assert loaded.origin("trace_sample") == f"config/{env}.yaml"


def test_the_example_names_every_setting_with_its_explanation() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()

    for variable in VARIABLES:
        default = "" if variable.default == "{}" else variable.default or ""
        assert f"#{variable.name}={default}" in lines, variable.name
        assert lines[lines.index(f"#{variable.name}={default}") - 1] == f"# {variable.help}"
