"""The feature itself, in a module of its own because the package also exports API functions that are declared on it."""

from groundplan.app import Feature, Objective

feature = Feature(
    "catalog",
    owner="commerce",
    objective=Objective(availability=0.999, latency_ms=200),
    modules=[
        "shop.catalog.products",
        "shop.catalog.editing",
        "shop.catalog.indexing",
        "shop.catalog.baskets",
        "shop.catalog.pages",
    ],
)
