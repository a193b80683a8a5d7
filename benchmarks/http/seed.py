"""Fills the tables with the benchmark's rows; any contender's database is a copy of what this makes."""

from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import insert

from benchmarks.http import rows
from benchmarks.http.app import Order, OrderLine, Product
from groundplan.core.clock import Clock
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql
from groundplan.data.search.port import Search


class Report(NamedTuple):
    stores: int


async def seed(
    database: Database,
    *,
    search: Search,
    hash_password: Callable[[str], str],
    clock: Clock,
    progress: Callable[[str, int, int], None],
) -> Report:
    """As ``groundplan seed`` calls it. Nothing here is searched for."""
    past = [rows.order(number) for number in range(rows.ORDERS)]
    async with database.transaction(rows.TENANT) as transaction:
        now = clock.now()
        await transaction.execute(_TENANT, id=rows.TENANT, host=rows.HOST, now=now)
        await transaction.execute(
            _USER,
            id=rows.USER,
            tenant_id=rows.TENANT,
            email=rows.EMAIL,
            name=rows.NAME,
            password_hash=hash_password(rows.PASSWORD),
            now=now,
        )
        filled: list[tuple[type[Any], list[dict[str, Any]]]] = [
            (Product, [rows.product(number) for number in range(rows.PRODUCTS)]),
            (Order, [order for order, _ in past]),
            (OrderLine, [line for _, lines in past for line in lines]),
        ]
        for model, values in filled:
            await transaction.session.execute(insert(model), [{**each, "tenant_id": rows.TENANT} for each in values])
    return Report(1)


_TENANT = Sql("""
    INSERT INTO tenants (id, slug, name, host, brand, created_at) VALUES (:id, 'bench', 'Bench', :host, '', :now)
""")
_USER = Sql("""
    INSERT INTO users (id, tenant_id, email, name, password_hash, roles, created_at)
    VALUES (:id, :tenant_id, :email, :name, :password_hash, 'customer', :now)
""")
