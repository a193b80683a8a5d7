"""Texts to values."""

import math
import re
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from groundplan.core.quotas import quota_of

Parse = Callable[[str, Path], Any]
"""Text and the project's root to a value; raises Unfit."""

_HOST = re.compile(r"[A-Za-z0-9_.:-]+|\*")
_ISSUER = re.compile(r"(https?://)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:\d{1,5})?(/[\w./~-]*)?")


class Unfit(Exception):
    """Why a text cannot be the value, in words that follow the setting's name: "must be a whole number"."""

    def __init__(self, words: str, *, show: bool = True) -> None:
        """``show`` adds what the value is, redacted."""
        self.words = words
        self.show = show
        super().__init__(words)


def text(value: str, root: Path) -> str:
    if not value.isprintable():
        raise Unfit("must not contain control characters", show=False)
    return value


def host(value: str, root: Path) -> str:
    if not _HOST.fullmatch(value):
        raise Unfit("must be a host name or an IP address")
    return value


def issuer(value: str, root: Path) -> str:
    if not _ISSUER.fullmatch(value):
        raise Unfit("must be a domain such as login.example.com, or the https:// address of an issuer")
    return value.rstrip("/")


def networks(value: str, root: Path) -> str:
    """Separated by commas."""
    try:
        return ",".join(str(ip_network(each.strip())) for each in value.split(",") if each.strip())
    except ValueError:
        raise Unfit("must be networks such as 198.51.100.0/24, separated by commas") from None


def quota(value: str, root: Path) -> str:
    """Such as ``20/min``, or ``off``."""
    if value.lower() == "off":
        return "off"
    try:
        return str(quota_of(value.lower()))
    except ValueError as error:
        raise Unfit(f"{error}; or off") from None


def one_of(*choices: str, **aliases: str) -> Parse:
    def parse(value: str, root: Path) -> str:
        lowered = value.lower()
        found = aliases.get(lowered, lowered)
        if found not in choices:
            raise Unfit(f"must be one of {', '.join(choices)}")
        return found

    return parse


def whole(low: int, high: int) -> Parse:
    def parse(value: str, root: Path) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", value) or not low <= int(value) <= high:
            raise Unfit(f"must be a whole number from {low} to {high}")
        return int(value)

    return parse


def number(low: float, high: float) -> Parse:
    def parse(value: str, root: Path) -> float:
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if not low <= found <= high:
            raise Unfit(f"must be a number from {low:g} to {high:g}")
        return found

    return parse
