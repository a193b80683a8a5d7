"""The migration makes the tables that the models describe, and takes them back."""

from typing import Any

import pytest
from sqlalchemy import Connection, Table, inspect
from sqlalchemy.ext.asyncio import create_async_engine

from groundplan.data.database.migrate import PLATFORM, downgrade, upgrade
from groundplan.data.database.models import TenantScoped
from groundplan.testing.postgres import DatabaseUrls
from shop.catalog import BasketLine, Product
from shop.orders import Order, OrderLine, Receipt
from shop.reports.models import Report
from tests.databases import SHOP

pytestmark = pytest.mark.anyio
MODELS: tuple[type[TenantScoped], ...] = (Product, BasketLine, Order, OrderLine, Receipt, Report)


async def test_the_tables_are_those_of_the_models(engine_urls: DatabaseUrls) -> None:
    await upgrade(engine_urls.owner, [PLATFORM, SHOP])
    for model in MODELS:
        table: Table = model.__table__  # type: ignore[attr-defined]
        described = {
            "columns": {column.name: column.nullable for column in table.columns},
            "key": {column.name for column in table.primary_key},
            "indexes": {index.name.removeprefix("ix_") for index in table.indexes if index.name},
        }
        assert await _found(engine_urls.owner, table.name) == described


async def test_the_migration_can_be_taken_back(engine_urls: DatabaseUrls) -> None:
    await upgrade(engine_urls.owner, [PLATFORM, SHOP])
    assert await downgrade(engine_urls.owner, SHOP) == ["shop: 0002 -> 0001"]
    assert await downgrade(engine_urls.owner, SHOP) == ["shop: 0001 -> base"]
    assert await upgrade(engine_urls.owner, [PLATFORM, SHOP]) == ["shop: nothing -> 0002"]


async def _found(url: str, table: str) -> dict[str, Any]:
    engine = create_async_engine(url)

    def look(connection: Connection) -> dict[str, Any]:
        inspector = inspect(connection)
        unique = {constraint["name"] for constraint in inspector.get_unique_constraints(table)}
        return {
            "columns": {column["name"]: column["nullable"] for column in inspector.get_columns(table)},
            "key": set(inspector.get_pk_constraint(table)["constrained_columns"]),
            "indexes": {index["name"] for index in inspector.get_indexes(table)} - unique,
        }

    try:
        async with engine.connect() as connection:
            return await connection.run_sync(look)
    finally:
        await engine.dispose()
