"""Package sizes in words, and the price per unit."""

import pytest

from shop.data.sizes import Size, is_crate, read_size, unit_price


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("16 OZ", "16 oz"),
        ("16    OZ", "16 oz"),
        ("16 OZS.", "16 oz"),
        ("13.00 OZ", "13 oz"),
        (".875 OZ", "0.875 oz"),
        ("14 1/4 OZ", "14.25 oz"),
        ("3/4 OZ", "0.75 oz"),
        ("L    16 OZ", "16 oz"),
        ("N   12 OZ", "12 oz"),
        ("(600) 4 LB", "4 lb"),
        ("5 LB BAG", "5 lb bag"),
        ("7 OZ AEROS", "7 oz spray can"),
        ("6 PK/4 OZ", "6 × 4 oz"),
        ("10/6.75 OZ", "10 × 6.75 oz"),
        ("14/.5 OZ", "14 × 0.5 oz"),
        ("4-4 OZ", "4 × 4 oz"),
        ("12 OZ/12 PK", "12 × 12 oz"),
        ("3 PK/100 CT", "3 × 100 count"),
        ("160 CT 3 PK", "3 × 160 count"),
        ("4 PK", "pack of 4"),
        ("48 G/1.69 OZ", "1.69 oz"),
        ("18 OZ/30 CT", "18 oz, 30 count"),
        ("15 CT/QT", "15 count, 1 quart"),
        ("14-18 CT", "14 to 18 count"),
        ("1 DZ", "1 dozen"),
        ("1 CT", "each"),
        ("GAL", "1 gallon"),
        ("1 GALON", "1 gallon"),
        ("2.5 GAL", "2.5 gallons"),
        ("1/2 GAL", "half gallon"),
        (".5 GAL", "half gallon"),
        ("1/2 PT", "half pint"),
        ("2000 ML", "2 l"),
        ("750 ML", "750 ml"),
        ("24 LD", "24 loads"),
        ("107.4 SQ FT", "107.4 sq ft"),
        ("12 STEM", "12 stems"),
    ],
)
def test_a_size_is_put_into_words(source: str, text: str) -> None:
    size = read_size(source)
    assert size is not None
    assert size.text == text


@pytest.mark.parametrize("source", ["", "  ", "912170  PK", "LOOSE"])
def test_a_size_that_says_nothing_is_none(source: str) -> None:
    assert read_size(source) is None


@pytest.mark.parametrize(
    ("cents", "source", "text"),
    [
        (265, "28 OZ", "9.5¢ / oz"),
        (395, "3.5 OZ", "$1.13 / oz"),
        (475, "8/12 OZ", "4.9¢ / oz"),
        (459, "1 DZ", "38.2¢ each"),
        (599, "24 LOADS", "25.0¢ / load"),
        (335, "2 LB", "$1.68 / lb"),
        (999, "10 OZ", "99.9¢ / oz"),
        (3999, "40 OZ", "$1.00 / oz"),
        (100, "1 CT", ""),
        (199, "1 KIT", ""),
        (249, "1 GAL", ""),
    ],
)
def test_the_price_per_unit_is_shown_where_there_is_one_to_compare(cents: int, source: str, text: str) -> None:
    size = read_size(source)
    assert size is not None
    assert unit_price(cents, size) == text


def test_loose_goods_come_in_crates() -> None:
    assert is_crate(Size("40 lb", 40, "lb"), unbranded=True)
    assert is_crate(Size("5 count", 5, "count"), unbranded=True)
    assert is_crate(Size("24 count", 24, "count"), unbranded=False)
    assert not is_crate(Size("3 lb", 3, "lb"), unbranded=False)
    assert not is_crate(Size("16 oz", 16, "oz"), unbranded=True)
