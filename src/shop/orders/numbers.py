"""Order numbers that people can read out: the store's initials and eight digits."""

from uuid import UUID

_DIGITS = 8


def order_number(store: str, order_id: UUID) -> str:
    """``NM-48213907`` for an order of Northside Market. Drawn from the random end of the id, so that no counter
    makes orders wait for each other; the database refuses the rare number that is taken."""
    initials = "".join(word[0] for word in store.split()).upper()
    return f"{initials}-{order_id.int % 10**_DIGITS:0{_DIGITS}d}"
