"""What a basket or an order costs, in whole cents."""

from typing import NamedTuple

SALES_TAX_BASIS_POINTS = 750
"""7.50 % on everything, which is simpler than any real tax law."""


class Totals(NamedTuple):
    items_cents: int
    tax_cents: int
    total_cents: int


def totals(items_cents: int) -> Totals:
    """Tax is rounded once, on the sum, half a cent upwards."""
    tax_cents = (items_cents * SALES_TAX_BASIS_POINTS + 5_000) // 10_000
    return Totals(items_cents, tax_cents, items_cents + tax_cents)
