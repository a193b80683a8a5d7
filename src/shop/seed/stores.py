"""The three stores and their demo accounts."""

from typing import NamedTuple
from uuid import UUID, uuid5

DEMO_PASSWORD = "apples on a rainy day"
"""Of every demo account. It is printed by ``make dev`` and worth nothing elsewhere."""

_NAMESPACE = UUID("6f1d4b1e-2f0a-5c53-9d0b-5b8c2f6f7a10")


class Account(NamedTuple):
    email: str
    name: str
    role: str


class Store(NamedTuple):
    """``number`` is the store's in the source of the data; ``own_brand`` is what it calls its own products."""

    slug: str
    name: str
    number: str
    own_brand: str

    @property
    def host(self) -> str:
        return f"{self.slug}.localhost"

    @property
    def id(self) -> UUID:
        return self.id_of("store")

    @property
    def accounts(self) -> tuple[Account, ...]:
        domain = f"{self.slug}.example"
        return (
            Account(f"mara@{domain}", "Mara Okafor", "customer"),
            Account(f"sam@{domain}", "Sam Lindqvist", "staff"),
            Account(f"ines@{domain}", "Ines Duarte", "operator"),
        )

    def id_of(self, what: str) -> UUID:
        """The same for the same thing whenever it is seeded, so that links survive."""
        return uuid5(_NAMESPACE, f"{self.slug} {what}")


STORES = (
    Store("northside", "Northside Market", "343", "Northside"),
    Store("riverside", "Riverside Grocer", "367", "Riverside"),
    Store("hilltop", "Hilltop Foods", "406", "Hilltop"),
)


def demo_accounts() -> tuple[str, list[tuple[str, str]]]:
    """The password and the accounts of the first store, for the greeting of ``groundplan dev``."""
    return DEMO_PASSWORD, [(account.email, account.role) for account in STORES[0].accounts]
