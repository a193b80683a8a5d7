"""What a store sells, and the basket it is picked into."""

from shop.catalog.baskets import MOST_LINES, BasketView, Quantity, empty_basket, get_basket
from shop.catalog.declaration import feature
from shop.catalog.departments import TITLES as DEPARTMENT_TITLES
from shop.catalog.documents import INDEX, document_of
from shop.catalog.freshness import products_changed
from shop.catalog.models import BasketLine, Product
from shop.catalog.pricing import Totals, totals
from shop.catalog.visitor import basket_id_of, visitor_basket

__all__ = [
    "DEPARTMENT_TITLES",
    "INDEX",
    "MOST_LINES",
    "BasketLine",
    "BasketView",
    "Product",
    "Quantity",
    "Totals",
    "basket_id_of",
    "document_of",
    "empty_basket",
    "feature",
    "get_basket",
    "products_changed",
    "totals",
    "visitor_basket",
]
