"""The application: its features, and what each role may do."""

from groundplan.app import App

CUSTOMER = ("orders:place", "orders:read")
STAFF = (*CUSTOMER, "catalog:edit", "orders:read-all", "reports:make")

app = App(
    "shop",
    features=[
        "shop.catalog",
        "shop.orders",
        "shop.reports",
    ],
    roles={"customer": CUSTOMER, "staff": STAFF, "operator": ("*",)},
    seed="shop.seed:seed",
    demo="shop.seed:demo_accounts",
)
