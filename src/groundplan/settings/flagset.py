"""FEATURE_FLAGS: flagd's JSON format, or the short form ``{"name": true}``, checked and brought into the former."""

from pathlib import Path
from typing import Any, Literal

import msgspec

from groundplan.settings.parsers import Unfit

_DATA = {"var", "missing", "missing_some", "$ref"}
_LOGIC = {"if", "and", "or", "!", "!!", "==", "===", "!=", "!==", "<", "<=", ">", ">=", "min", "max"}
_ARITHMETIC = {"+", "-", "*", "/", "%"}
_LISTS = {"map", "filter", "reduce", "all", "none", "some", "merge", "in"}
_TEXT = {"cat", "substr", "starts_with", "ends_with"}
_FLAGD = {"fractional", "sem_ver"}
OPERATORS = frozenset(_DATA | _LOGIC | _ARITHMETIC | _LISTS | _TEXT | _FLAGD)
"""What a targeting rule may use: JsonLogic, and what flagd adds to it."""

Value = str | bool | int | float | dict[str, Any]


class Flag(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    state: Literal["ENABLED", "DISABLED"]
    variants: dict[str, Value]
    default_variant: str | None = None
    targeting: dict[str, Any] | None = None
    metadata: dict[str, str | bool | int | float] | None = None


class FlagSet(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    flags: dict[str, Flag]
    schema: str | None = msgspec.field(default=None, name="$schema")
    evaluators: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict, name="$evaluators")
    metadata: dict[str, str | bool | int | float] = msgspec.field(default_factory=dict)


def feature_flags(text: str, root: Path) -> str:
    """The flags in flagd's format, as JSON."""
    if not text.startswith("{"):
        words = 'must be a JSON object such as {"new-checkout": true}; the key of a flag provider is not supported yet'
        raise Unfit(words, show=False)
    try:
        flags = msgspec.convert(_long_form(msgspec.json.decode(text)), FlagSet)
    except msgspec.MsgspecError as error:
        raise Unfit(f"is not a valid set of flags: {error}", show=False) from None
    for name, flag in flags.flags.items():
        problem = _problem(flag, flags.evaluators)
        if problem:
            raise Unfit(f"is not a valid set of flags: {name!r} {problem}", show=False)
    for name, rule in flags.evaluators.items():
        problem = _rule_problem(rule, flags.evaluators)
        if problem:
            raise Unfit(f"is not a valid set of flags: the evaluator {name!r} {problem}", show=False)
    return msgspec.json.encode(flags).decode()


def _long_form(given: dict[str, Any]) -> dict[str, Any]:
    if isinstance(given.get("flags"), dict):
        return given
    if not all(isinstance(value, bool) for value in given.values()):
        raise Unfit("is not a valid set of flags: each is true or false, or all are in flagd's format", show=False)
    return {
        "flags": {
            name: {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on" if on else "off"}
            for name, on in given.items()
        }
    }


def _problem(flag: Flag, evaluators: dict[str, dict[str, Any]]) -> str:
    if not flag.variants:
        return "has no variants"
    if len({float if type(value) is int else type(value) for value in flag.variants.values()}) > 1:
        return "has variants of different types"
    if flag.default_variant is not None and flag.default_variant not in flag.variants:
        return f"has the default variant {flag.default_variant!r}, which is not among its variants"
    return _rule_problem(flag.targeting, evaluators) if flag.targeting else ""


def _rule_problem(rule: Any, evaluators: dict[str, dict[str, Any]]) -> str:
    if isinstance(rule, list):
        return next((problem for part in rule if (problem := _rule_problem(part, evaluators))), "")
    if not isinstance(rule, dict):
        return ""
    if len(rule) != 1:
        return "has a targeting rule that is not one operator and its arguments"
    operator, arguments = next(iter(rule.items()))
    if operator not in OPERATORS:
        return f"has a targeting rule with the unknown operator {operator!r}"
    if operator == "$ref" and arguments not in evaluators:
        return f"refers to {arguments!r}, which is not among the $evaluators"
    return _rule_problem(arguments, evaluators)
