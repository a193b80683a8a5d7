"""What the seed would write, before it writes it."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from shop.catalog import totals
from shop.data.catalogue import CatalogueRow, read_catalogue
from shop.data.purchases import Purchase, read_purchases
from shop.seed import DEMO_PASSWORD, STORES
from shop.seed.past import order_rows, shift_to
from shop.seed.shelves import product_rows

NOW = datetime(2026, 11, 24, 11, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def catalogue() -> list[CatalogueRow]:
    return read_catalogue("Northside")


@pytest.fixture(scope="module")
def purchases() -> dict[str, list[Purchase]]:
    return read_purchases()


def test_the_purchases_are_all_there(purchases: dict[str, list[Purchase]]) -> None:
    assert {store.number for store in STORES} == set(purchases)
    assert sum(len(bought) for bought in purchases.values()) == 1_808
    assert sum(len(purchase.lines) for bought in purchases.values() for purchase in bought) == 15_031
    assert len({purchase.household for bought in purchases.values() for purchase in bought}) == 240


def test_the_newest_purchase_moves_to_yesterday_and_the_rest_keep_their_distance(
    catalogue: list[CatalogueRow], purchases: dict[str, list[Purchase]]
) -> None:
    newest = max(bought[-1].bought_at for bought in purchases.values())
    shift = shift_to(NOW, newest)
    assert (newest + shift).date() == NOW.date() - timedelta(days=1)
    assert (newest + shift).time() == newest.time()
    by_sku = {product.sku: product for product in catalogue}
    orders, _ = order_rows(STORES[0], by_sku, purchases["343"], shift)
    assert {
        order["placed_at"] - purchase.bought_at for order, purchase in zip(orders, purchases["343"], strict=True)
    } == {shift}


def test_past_orders_add_up(catalogue: list[CatalogueRow], purchases: dict[str, list[Purchase]]) -> None:
    by_sku = {product.sku: product for product in catalogue}
    for store in STORES:
        orders, lines = order_rows(store, by_sku, purchases[store.number], timedelta())
        amounts, items = Counter[object](), Counter[object]()
        for line in lines:
            amounts[line["order_id"]] += line["amount_cents"]
            items[line["order_id"]] += line["quantity"]
        for order in orders:
            assert (order["items_cents"], order["tax_cents"], order["total_cents"]) == totals(amounts[order["id"]])
            assert order["items"] == items[order["id"]]
        assert len({order["number"] for order in orders}) == len(orders)
        assert all(order["tenant_id"] == store.id for order in orders + lines)


def test_the_stock_is_the_same_every_time_and_mostly_there(
    catalogue: list[CatalogueRow], purchases: dict[str, list[Purchase]]
) -> None:
    rows = product_rows(STORES[0], catalogue, purchases["343"])
    assert rows == product_rows(STORES[0], catalogue, purchases["343"])
    empty = sum(row["stock"] == 0 for row in rows)
    assert 20 < empty < 120
    assert all(row["stock"] >= 0 for row in rows)
    best = max(rows, key=lambda row: row["bought"])
    assert best["bought"] > 20


def test_ids_differ_between_stores() -> None:
    assert len({store.id_of("product 1") for store in STORES}) == len(STORES)


def test_demo_accounts_follow_one_pattern() -> None:
    assert len(DEMO_PASSWORD) >= 15
    assert [account.email for account in STORES[0].accounts] == [
        "mara@northside.example",
        "sam@northside.example",
        "ines@northside.example",
    ]
    assert [account.role for account in STORES[2].accounts] == ["customer", "staff", "operator"]
