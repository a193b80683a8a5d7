"""Order numbers that people can read out: the store's initials and two groups of five letters and digits."""

from uuid import UUID

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: nobody mistakes I, L, O and U for others, for they are not there."""
_LENGTH, _GROUP = 10, 5


def order_number(store: str, order_id: UUID) -> str:
    """``NM-4V0CB-87MKX`` for an order of Northside Market.

    Drawn from the 50 last bits of the id, which are random, so that no counter makes orders wait for each other: of a
    million orders two have one number once in two thousand times, and then the database refuses the later one.
    """
    initials = "".join(word[0] for word in store.split()).upper()
    drawn = "".join(_DIGITS[order_id.int >> 5 * place & 31] for place in reversed(range(_LENGTH)))
    return f"{initials}-{drawn[:_GROUP]}-{drawn[_GROUP:]}"
