"""The seed itself: one transaction per store, so that a store is there whole or not at all."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import insert

from groundplan.core.clock import Clock
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql
from groundplan.data.database.uow import Transaction
from groundplan.data.search.port import Search
from shop.catalog import INDEX, Product, document_of
from shop.data.catalogue import read_catalogue
from shop.data.purchases import Purchase, read_purchases
from shop.orders import Order, OrderLine
from shop.seed.past import order_rows, shift_to
from shop.seed.shelves import product_rows
from shop.seed.stores import DEMO_PASSWORD, STORES, Account, Store

Progress = Callable[[str, int, int], None]
"""Takes what is being done, how many steps are done, and of how many."""


class SeedReport(NamedTuple):
    """What was added; all zero where the stores were there already."""

    stores: int
    products: int
    orders: int
    accounts: tuple[Account, ...]
    password: str


async def seed(
    database: Database,
    *,
    search: Search,
    hash_password: Callable[[str], str],
    clock: Clock,
    progress: Progress = lambda step, done, total: None,
) -> SeedReport:
    """Adds the stores that are missing. Running it again is quick and changes nothing."""
    present = {row.slug for row in await database.execute(_PRESENT)}
    missing = [store for store in STORES if store.slug not in present]
    products = orders = 0
    if missing:
        progress("reading the data", 0, len(missing))
        purchases = read_purchases()
        shift = shift_to(clock.now(), max(bought[-1].bought_at for bought in purchases.values()))
        password_hash = hash_password(DEMO_PASSWORD)
        for done, store in enumerate(missing):
            progress(f"filling {store.name}", done, len(missing))
            added = await _fill(database, search, store, purchases[store.number], shift, password_hash, clock)
            products, orders = products + added[0], orders + added[1]
        progress("the stores are open", len(missing), len(missing))
    accounts = tuple(account for store in STORES for account in store.accounts)
    return SeedReport(len(missing), products, orders, accounts, DEMO_PASSWORD)


async def _fill(
    database: Database,
    search: Search,
    store: Store,
    purchases: list[Purchase],
    shift: timedelta,
    password_hash: str,
    clock: Clock,
) -> tuple[int, int]:
    catalogue = read_catalogue(store.own_brand)
    products = product_rows(store, catalogue, purchases)
    orders, lines = order_rows(store, {product.sku: product for product in catalogue}, purchases, shift)
    async with database.transaction(store.id) as transaction:
        await _open(transaction, store, password_hash, clock)
        await _insert(transaction, Product, products)
        index = search.bind(store.id, transaction.session, writes=True)
        await index.index(INDEX, [document_of(Product(**product)) for product in products])
        await _insert(transaction, Order, orders)
        await _insert(transaction, OrderLine, lines)
    return len(products), len(orders)


async def _open(transaction: Transaction, store: Store, password_hash: str, clock: Clock) -> None:
    """The tenant and its people. The store that is created first answers on the bare host."""
    now = clock.now() + timedelta(microseconds=STORES.index(store))
    await transaction.execute(
        _TENANT, id=store.id, slug=store.slug, name=store.name, host=store.host, brand=store.slug, now=now
    )
    for account in store.accounts:
        await transaction.execute(
            _USER,
            id=store.id_of(account.email),
            tenant_id=store.id,
            email=account.email,
            name=account.name,
            password_hash=password_hash,
            roles=account.role,
            now=now,
        )


async def _insert(transaction: Transaction, model: type[Any], rows: list[dict[str, Any]]) -> None:
    await transaction.session.execute(insert(model), rows)


_PRESENT = Sql("SELECT slug FROM tenants")
_TENANT = Sql("""
    INSERT INTO tenants (id, slug, name, host, brand, created_at) VALUES (:id, :slug, :name, :host, :brand, :now)
""")
_USER = Sql("""
    INSERT INTO users (id, tenant_id, email, name, password_hash, roles, created_at)
    VALUES (:id, :tenant_id, :email, :name, :password_hash, :roles, :now)
""")
