"""What a page of the documentation shows: its blocks of code, and its command lines."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"(?:#|\{#) (\S+\.\w+)(?: #\})?\n")
_COMMAND = re.compile(r"^    groundplan (.+?)(?: +#.*)?$", re.MULTILINE)


class Block(NamedTuple):
    language: str
    path: str
    """Where its first line says that it belongs; empty where it says nothing."""
    text: str


def blocks(page: str, language: str) -> list[Block]:
    """In the order of the page."""
    return [
        Block(found[1], named[1] if (named := _PATH.match(found[2])) else "", found[2])
        for found in _BLOCK.finditer((ROOT / page).read_text(encoding="utf-8"))
        if found[1] == language
    ]


def commands(page: str) -> list[list[str]]:
    """The arguments of every ``groundplan`` line that stands by itself."""
    return [shlex.split(found[1]) for found in _COMMAND.finditer((ROOT / page).read_text(encoding="utf-8"))]
