"""All 2,400 products as they are shown: nothing shouted, cut off or told twice."""

import re
from typing import get_args

import pytest

from shop.catalog.departments import Department
from shop.data.catalogue import CatalogueRow, read_catalogue, rows


@pytest.fixture(scope="module")
def catalogue() -> list[CatalogueRow]:
    return read_catalogue("Northside")


def test_every_product_of_the_source_is_there(catalogue: list[CatalogueRow]) -> None:
    assert len(catalogue) == 2400
    assert len({product.sku for product in catalogue}) == 2400
    assert {product.department for product in catalogue} == set(get_args(Department))


def test_titles_read_like_words(catalogue: list[CatalogueRow]) -> None:
    for title in {product.title for product in catalogue}:
        assert 3 <= len(title) <= 50, title
        assert title[0].isupper(), title
        assert not re.search(r"[&/():*%#]|  | [A-Z]{3}|^[A-Z]{3}", title), title
        assert not re.search(r"\b(misc|frzn|pkg|ppk|refrig|veg|sgl|dnrs|drnk)\b", title, re.IGNORECASE), title


def test_abbreviations_of_the_source_are_spelled_out(catalogue: list[CatalogueRow]) -> None:
    titles = {row["type"]: product.title for row, product in zip(rows("products.csv"), catalogue, strict=True)}
    assert titles["SFT DRNK 2 LITER BTL CARB INCL"] == "Soft drink, 2 l bottle"
    assert titles["FRZN SS PREMIUM ENTREES/DNRS/N"] == "Frozen premium meal for one"
    assert titles["GARBAGE KITCHEN COMPACTOR BA"] == "Trash bags"
    assert titles["PLSTC CTLRYTBLCLTHSTTHPKSST"] == "Plastic cutlery and tableware"
    assert titles["HERBS CILANTO"] == "Cilantro"


def test_no_two_products_look_the_same(catalogue: list[CatalogueRow]) -> None:
    assert len({(product.title, product.brand, product.size) for product in catalogue}) == 2400


def test_brands_say_what_the_source_knows_and_no_more(catalogue: list[CatalogueRow]) -> None:
    pattern = re.compile(r"(Northside own brand|Unbranded|Maker \d+)(, variety \d+)?")
    assert all(pattern.fullmatch(product.brand) for product in catalogue)
    assert sum(product.brand.startswith("Northside own brand") for product in catalogue) == 560


def test_sizes_and_prices_are_sound(catalogue: list[CatalogueRow]) -> None:
    for product in catalogue:
        assert product.price_cents > 0
        assert product.size
        assert not re.search(r"[A-Z]{2}|\d{5}", product.size), product
        assert not product.unit_price or re.fullmatch(
            r"(\d{1,2}\.\d¢|\$\d+\.\d\d)( / (oz|fl oz|lb|l|load|sq ft)| each)", product.unit_price
        ), product


def test_goods_by_weight_are_priced_by_weight(catalogue: list[CatalogueRow]) -> None:
    bananas = next(product for product in catalogue if product.title == "Bananas")
    assert (bananas.brand, bananas.size, bananas.unit_price) == ("Unbranded", "per lb", "95.0¢ / lb")
    steak = next(product for product in catalogue if product.title == "Flank steak")
    assert (steak.size, steak.unit_price) == ("1 pack, priced by weight", "")


def test_the_lexicon_has_nothing_to_spare() -> None:
    used = {(row["category"], row["type"]) for row in rows("products.csv")}
    assert {(row["category"], row["type"]) for row in rows("lexicon.csv")} == used
