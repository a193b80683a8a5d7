"""FEATURE_FLAGS: the short form, flagd's form, and what is neither."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FLAGD = {
    "$schema": "https://flagd.dev/schema/v0/flags.json",
    "$evaluators": {"staff": {"ends_with": [{"var": "email"}, "@example.com"]}},
    "metadata": {"team": "shop"},
    "flags": {
        "layout": {
            "state": "ENABLED",
            "variants": {"old": "old", "new": "new"},
            "defaultVariant": "old",
            "targeting": {"if": [{"$ref": "staff"}, "new", {"fractional": [["old", 90], ["new", 10]]}]},
        }
    },
}


def flag(**changes: Any) -> str:
    whole = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"} | changes
    return json.dumps({"flags": {"beta": whole}})


def test_the_short_form(load_settings: Any) -> None:
    flags = json.loads(load_settings({"FEATURE_FLAGS": '{"a": true, "b": false}'}).settings.feature_flags)["flags"]

    assert flags["a"] == {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}
    assert flags["b"]["defaultVariant"] == "off"


def test_no_flags(load_settings: Any) -> None:
    assert json.loads(load_settings().settings.feature_flags) == {"flags": {}}


def test_flagds_form_stays_as_it_is(load_settings: Any) -> None:
    assert json.loads(load_settings({"FEATURE_FLAGS": json.dumps(FLAGD)}).settings.feature_flags) == FLAGD


def test_flags_in_a_versioned_file(load_settings: Any, write: Callable[[str, str], Path]) -> None:
    write("config/local.yaml", f"feature_flags: {json.dumps(FLAGD)}")
    assert json.loads(load_settings().settings.feature_flags) == FLAGD

    write("config/local.yaml", "feature_flags:\n  express-checkout: yes\n")
    assert "express-checkout" in json.loads(load_settings().settings.feature_flags)["flags"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sdk-key", "must be a JSON object such as"),
        ("[]", "must be a JSON object such as"),
        ("{", "is not a valid set of flags: Input data was truncated"),
        ('{"a": 1}', "is not a valid set of flags: each is true or false, or all are in flagd's format"),
        (flag(state="ON"), "is not a valid set of flags: Invalid enum value 'ON'"),
        (flag(extra=1), "is not a valid set of flags: Object contains unknown field `extra`"),
        (flag(variants={}), "is not a valid set of flags: 'beta' has no variants"),
        (
            flag(variants={"on": True, "off": "no"}),
            "is not a valid set of flags: 'beta' has variants of different types",
        ),
        (flag(defaultVariant="maybe"), "is not a valid set of flags: 'beta' has the default variant 'maybe'"),
        (
            flag(targeting={"iff": []}),
            "is not a valid set of flags: 'beta' has a targeting rule with the unknown operator",
        ),
        (
            flag(targeting={"if": [{"in": 1, "var": 2}]}),
            "is not a valid set of flags: 'beta' has a targeting rule that is",
        ),
        (
            flag(targeting={"$ref": "staff"}),
            "is not a valid set of flags: 'beta' refers to 'staff', which is not among",
        ),
        (
            '{"flags": {}, "$evaluators": {"x": {"y": 1}}}',
            "is not a valid set of flags: the evaluator 'x' has a targeting",
        ),
    ],
)
def test_what_is_no_set_of_flags(problems: Any, text: str, words: str) -> None:
    (problem,) = problems({"FEATURE_FLAGS": text})

    assert problem.startswith(f"FEATURE_FLAGS {words}")
