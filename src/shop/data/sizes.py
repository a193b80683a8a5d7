"""Package sizes as the source writes them ("6 PK/4 OZ", "14 1/4 OZ", "24 LD") made readable, and the price per unit."""

import re
from fractions import Fraction
from typing import NamedTuple


class Size(NamedTuple):
    """``amount`` in ``unit`` is all that the package holds; zero where the source does not say."""

    text: str
    amount: float = 0.0
    unit: str = ""


SOLD_BY = {
    "": Size("each"),
    "lb": Size("per lb", 1.0, "lb"),
    "pack": Size("1 pack, priced by weight"),
    "pieces": Size("1 pack"),
}
"""What one buys where the source names no size, by the lexicon's ``sold_by``. ``pieces`` come in packs, and
the source may give the size of one piece, so they have no price per unit."""

_UNITS = {
    "OZ": "oz", "OZS": "oz", "FL OZ": "fl oz", "LB": "lb", "G": "g",
    "GAL": "gallon", "GA": "gallon", "GALON": "gallon", "QT": "quart", "PT": "pint", "L": "l", "ML": "ml",
    "CT": "count", "PC": "pieces", "STEM": "stems", "PK": "pack", "KIT": "kit", "CTN": "carton",
    "LD": "loads", "LOAD": "loads", "LOADS": "loads", "FT": "ft", "SQ FT": "sq ft", "IN": "in",
}  # fmt: skip
_COMPARED = {"oz", "fl oz", "lb", "l", "count", "loads", "sq ft"}
_COUNTABLE = {"gallon", "quart", "pint"}
_NOTES = {"BAG": " bag", "AEROS": " spray can", "REFIL": " refill"}

_NUMBER = r"\d+ \d+/\d+|\d*\.\d+|\d+/\d+|\d+"
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
_NOISE = re.compile(r"\(\d+\)|\d{5,} *PK|^[LN] +(?=[\d.])")
_DOZEN = re.compile(r"(?:1 )?DO?Z")
_RANGE = re.compile(r"(\d+)-(\d+) CT")
_FRACTION = re.compile(r"[13]/[24] .*")
_TIMES = re.compile(rf"(\d+)(?: PK)?[/-]({_NUMBER}) ({_UNIT})")
_CANS = re.compile(r"(\d+) OZ/(\d+) PK")
_PACKS = re.compile(r"(\d+) CT (\d+) PK")
_TWICE = re.compile(rf"({_NUMBER}) (OZ|CT|G)/({_NUMBER})? ?({_UNIT})")
_SINGLE = re.compile(rf"({_NUMBER})? ?({_UNIT})\b\.?(.*)")
_CRATE = 12


def read_size(source: str) -> Size | None:
    """The size in words, or None where the source says nothing usable."""
    text = " ".join(_NOISE.sub("", source).split())
    if _DOZEN.fullmatch(text):
        return Size("1 dozen", 12, "count")
    if found := _RANGE.fullmatch(text):
        return Size(f"{found[1]} to {found[2]} count", float(found[1]), "count")
    if _FRACTION.fullmatch(text):
        return _single(text)
    return _multiple(text) or _twice(text) or _single(text)


def is_crate(size: Size, *, unbranded: bool) -> bool:
    """Whether a size given for fresh produce is that of the crate it comes in, not of what one customer takes."""
    if unbranded:
        return size.unit in {"lb", "carton", "count"}
    return size.unit == "count" and size.amount >= _CRATE


def unit_price(price_cents: int, size: Size) -> str:
    """The price of one ounce, pound or piece ("9.5¢ / oz"), or nothing where there is nothing to compare."""
    if size.amount <= 0 or size.unit not in _COMPARED or (size.unit == "count" and size.amount == 1):
        return ""
    cents = price_cents / size.amount
    price = f"{cents:.1f}¢" if cents < 99.95 else f"${cents / 100:.2f}"
    return {"count": f"{price} each", "loads": f"{price} / load"}.get(size.unit, f"{price} / {size.unit}")


def _multiple(text: str) -> Size | None:
    """Packs of the same: "6 PK/4 OZ", "10/6.75 OZ", "4-4 OZ", "12 OZ/12 PK", "160 CT 3 PK"."""
    if found := _CANS.fullmatch(text):
        times, each, unit = int(found[2]), float(found[1]), "oz"
    elif found := _PACKS.fullmatch(text):
        times, each, unit = int(found[2]), float(found[1]), "count"
    elif found := _TIMES.fullmatch(text):
        times, each, unit = int(found[1]), _number(found[2]), _UNITS[found[3]]
    else:
        return None
    return Size(f"{times} × {_plain(each)} {unit}", times * each, unit)


def _twice(text: str) -> Size | None:
    """Two measures of one package: "18 OZ/30 CT", "15 CT/QT"; of "48 G/1.69 OZ" the ounces are enough."""
    found = _TWICE.fullmatch(text)
    if found is None:
        return None
    first, second = _measure(found[1], found[2]), _measure(found[3], found[4])
    return second if first.unit == "g" else first._replace(text=f"{first.text}, {second.text}")


def _single(text: str) -> Size | None:
    found = _SINGLE.fullmatch(text)
    if found is None:
        return None
    size = _measure(found[1], found[2])
    if size.text == "1 count":
        return Size("each")
    return size._replace(text=size.text + _NOTES.get(found[3].strip(), ""))


def _measure(number: str | None, source_unit: str) -> Size:
    amount, unit = _number(number or "1"), _UNITS[source_unit]
    if unit == "ml" and amount >= 1000:
        amount, unit = amount / 1000, "l"
    if unit == "pack":
        return Size(f"pack of {_plain(amount)}", amount, "count")
    if amount == 0.5 and unit in _COUNTABLE:
        return Size(f"half {unit}", amount, unit)
    plural = "s" if unit in _COUNTABLE and amount != 1 else ""
    return Size(f"{_plain(amount)} {unit}{plural}", amount, unit)


def _number(text: str) -> float:
    """The value of "14 1/4", ".5" or "12"."""
    return float(sum(Fraction(part) for part in text.split()))


def _plain(amount: float) -> str:
    return f"{amount:.3f}".rstrip("0").rstrip(".")
