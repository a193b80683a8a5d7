"""Django with ninja, its own middleware as a new project has it, and its own cache: the list of products."""

from typing import Any
from uuid import UUID

import django
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest

from benchmarks.http import rows

settings.configure(
    SECRET_KEY=rows.KEY,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    DATABASES={},
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402 -- once the settings are there
from django.urls import path  # noqa: E402
from ninja import NinjaAPI, Schema  # noqa: E402


class ProductView(Schema):
    id: UUID
    sku: str
    title: str
    brand: str
    size: str
    department: str
    price_cents: int
    unit_price: str
    stock: int


api = NinjaAPI()


@api.get("/products", response=list[ProductView])
def list_products(request: HttpRequest) -> Any:
    return cache.get_or_set("products", lambda: [rows.product(number) for number in range(rows.SHELF)], 3600)


urlpatterns = [path("api/v1/", api.urls)]
app = get_wsgi_application()
