"""FEATURE_FLAGS through OpenFeature: fixed flags, targeting, variants, and what cannot be evaluated."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError

from groundplan.data.database.database import Database
from groundplan.flags.flags import Flags
from groundplan.flags.overrides import Overrides
from groundplan.settings import load
from groundplan.settings.flagset import OPERATORS
from groundplan.testing.clock import ManualClock

SWITCH = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}
TEXTS = {"state": "ENABLED", "variants": {"a": "blue", "b": "green"}, "defaultVariant": "a"}


@pytest.fixture
def overrides(tmp_path: Path) -> Overrides:
    """None stored, and none read: these tests have no tables."""
    return Overrides(Database(f"sqlite+aiosqlite:///{tmp_path / 'app.db'}"), ManualClock())


def flags_of(overrides: Overrides, tmp_path: Path, given: dict[str, Any]) -> Flags:
    settings = load(root=tmp_path, environ={"FEATURE_FLAGS": json.dumps(given)}).settings
    return Flags(settings.feature_flags, overrides)


def test_the_short_form(overrides: Overrides, tmp_path: Path) -> None:
    flags = flags_of(overrides, tmp_path, {"new": True, "old": False})

    assert flags.enabled("new") is True
    assert flags.enabled("old", True) is False
    assert flags.enabled("unknown") is False
    assert flags.enabled("unknown", True) is True


def test_a_disabled_flag_and_one_without_a_default_are_the_callers_default(
    overrides: Overrides, tmp_path: Path
) -> None:
    without = {"state": "ENABLED", "variants": {"on": True}}
    flags = flags_of(overrides, tmp_path, {"flags": {"a": SWITCH | {"state": "DISABLED"}, "b": without}})

    for name in ("a", "b"):
        assert (flags.enabled(name), flags.enabled(name, True)) == (False, True)


def test_targeting_by_tenant_and_user(overrides: Overrides, tmp_path: Path) -> None:
    rule = {"if": [{"in": [{"var": "tenant"}, ["north", "south"]]}, "on", {"==": [{"var": "user"}, "u1"]}, "on", "off"]}
    flags = flags_of(overrides, tmp_path, {"flags": {"beta": SWITCH | {"targeting": rule}}})

    assert flags.enabled("beta", tenant="north")
    assert flags.enabled("beta", tenant="east", user="u1")
    assert not flags.enabled("beta", tenant="east", user="u2")
    assert not flags.enabled("beta")


def test_a_shared_rule(overrides: Overrides, tmp_path: Path) -> None:
    given = {
        "$evaluators": {"north": {"==": [{"var": "tenant"}, "north"]}},
        "flags": {"beta": SWITCH | {"targeting": {"if": [{"$ref": "north"}, "on"]}}},
    }
    flags = flags_of(overrides, tmp_path, given)

    assert flags.enabled("beta", tenant="north")
    assert not flags.enabled("beta", tenant="south")


def test_a_share_of_users_is_stable_and_about_right(overrides: Overrides, tmp_path: Path) -> None:
    rule = {"fractional": [["on", 20], ["off", 80]]}
    flags = flags_of(overrides, tmp_path, {"flags": {"beta": SWITCH | {"targeting": rule}}})
    chosen = [flags.enabled("beta", user=f"user-{number}") for number in range(2000)]

    assert chosen == [flags.enabled("beta", user=f"user-{number}") for number in range(2000)]
    assert 300 < sum(chosen) < 500


def test_variants(overrides: Overrides, tmp_path: Path) -> None:
    rule = {"if": [{"==": [{"var": "tenant"}, "north"]}, "b"]}
    flags = flags_of(overrides, tmp_path, {"flags": {"colour": TEXTS, "hue": TEXTS | {"targeting": rule}}})

    assert flags.variant("colour") == "blue"
    assert (flags.variant("hue", tenant="north"), flags.variant("hue")) == ("green", "blue")
    assert flags.variant("unknown", "red") == "red"


def test_a_flag_of_another_type_is_the_callers_default(overrides: Overrides, tmp_path: Path) -> None:
    rule = {"if": [True, "a"]}
    flags = flags_of(overrides, tmp_path, {"flags": {"t": TEXTS, "tt": TEXTS | {"targeting": rule}, "s": SWITCH}})

    assert flags.enabled("t", True) is True
    assert flags.enabled("tt", True) is True
    assert flags.variant("s", "red") == "red"


@pytest.mark.parametrize(
    "rule",
    [
        {"if": [True, "neither"]},
        {"/": [1, 0]},
        {"<": [{"var": "tenant"}, None]},
        {"substr": [1]},
        {"sem_ver": ["x", "=", "y"]},
        {"reduce": []},
    ],
)
def test_a_rule_that_fails_does_not_fail_the_request(
    overrides: Overrides, tmp_path: Path, rule: dict[str, Any]
) -> None:
    flags = flags_of(overrides, tmp_path, {"flags": {"beta": SWITCH | {"targeting": rule}}})

    assert flags.enabled("beta") is False


def test_listing(overrides: Overrides, tmp_path: Path) -> None:
    rule = {"if": [{"==": [{"var": "tenant"}, "north"]}, "on"]}
    given = {"flags": {"b": SWITCH, "a": SWITCH | {"targeting": rule}, "c": SWITCH | {"state": "DISABLED"}}}

    assert [(flag.name, flag.value, flag.targeted) for flag in flags_of(overrides, tmp_path, given).all()] == [
        ("a", None, True),
        ("b", False, False),
        ("c", None, False),
    ]


def test_other_code_may_use_openfeature_itself(overrides: Overrides, tmp_path: Path) -> None:
    given = {
        "flags": {"s": SWITCH, "t": TEXTS, "i": TEXTS | {"variants": {"a": 7}}, "f": TEXTS | {"variants": {"a": 1.5}}}
    }
    provider = flags_of(overrides, tmp_path, given).provider

    assert provider.resolve_boolean_details("s", True).value is False
    assert provider.resolve_string_details("t", "").value == "blue"
    assert provider.resolve_integer_details("i", 0).value == 7
    assert provider.resolve_float_details("f", 0.0).value == 1.5
    with pytest.raises(OpenFeatureError):
        provider.resolve_object_details("s", {})
    assert provider.get_metadata().name == "groundplan"


def test_openfeatures_registry_of_the_process_is_left_alone(overrides: Overrides, tmp_path: Path) -> None:
    from openfeature import api

    flags_of(overrides, tmp_path, {"new": True})

    assert api.get_client().get_boolean_value("new", False) is False


@pytest.mark.parametrize("operator", sorted(OPERATORS - {"$ref"}))
def test_the_settings_allow_only_operators_that_are_known_here(operator: str) -> None:
    core = FlagdCore()
    rule = {operator: [["x"], ["y"]]}
    core.set_flags({"flags": {"f": SWITCH | {"targeting": {"if": [rule, "on", "off"]}}}})
    try:
        core.resolve_boolean_value("f", False, EvaluationContext(targeting_key="u"))
    except Exception as error:
        assert "Unrecognized operation" not in str(error.__cause__ or error)


def test_a_fixed_flag_is_no_more_than_a_look_up(overrides: Overrides, tmp_path: Path) -> None:
    """It is asked on every event of a request, so it must never reach the rule engine."""
    flags = flags_of(overrides, tmp_path, {"new": True})
    calls: list[str] = []
    sys.setprofile(lambda frame, event, arg: calls.append(frame.f_code.co_filename) if event == "call" else None)
    try:
        flags.enabled("new", tenant="north", user="u1")
        flags.enabled("unknown")
    finally:
        sys.setprofile(None)

    assert len(calls) <= 8
    assert not [name for name in calls if "openfeature" in name or "json_logic" in name]
