"""From text to words, by us and not by the engines, so that each of them finds the same."""

import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

LONGEST_WORD = 64
_JOINING = frozenset("'’ʼ")
"""Kellogg's is one word, with or without its apostrophe."""
_LETTERS: Mapping[int, str] = MappingProxyType(
    str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})
)
"""What Unicode does not take apart, and keyboards elsewhere lack."""


def words_of(text: str) -> list[str]:
    """Lower case, without diacritics; a percent sign and each pictograph is a word of its own, all else parts words."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()).translate(_LETTERS)
    return [word[:LONGEST_WORD] for word in "".join(map(_kept, folded)).split()]


def _kept(character: str) -> str:
    if character.isascii():
        if character.isalnum():
            return character
        return " % " if character == "%" else "" if character in _JOINING else " "
    category = unicodedata.category(character)
    if category[0] in "LN" or category == "Mc":
        return character
    if category == "Mn" or character in _JOINING:
        return ""
    return f" {character} " if category == "So" else " "
