"""What the search index knows of a product: what people look for, and nothing that changes with every sale."""

from groundplan.data.search.port import Document
from shop.catalog.departments import TITLES
from shop.catalog.models import Product

INDEX = "product"


def document_of(product: Product) -> Document:
    """Its rank is how often it had been bought when it was indexed, which is good enough to choose among many."""
    department = TITLES.get(product.department, product.department)
    return Document(
        id=product.id,
        title=product.title,
        text=f"{product.brand} {department}",
        tag=product.department,
        rank=product.bought,
    )
