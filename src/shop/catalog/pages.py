"""The pages to browse, to look at one product, and to change the basket."""

from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from groundplan.app import Context, Page, Redirect
from groundplan.core.errors import Conflict, NotFound
from groundplan.core.urls import is_local
from shop.catalog.baskets import SetQuantity, put_basket_line
from shop.catalog.declaration import feature
from shop.catalog.departments import TITLES, Department
from shop.catalog.products import SHELVES, Search, Sort, get_product, list_departments, list_products, order_of
from shop.catalog.visitor import own_basket_id, visitor_basket
from shop.paging import Cursor

PAGE_SIZE = 24
SORTS = (("match", "Best match"), ("bought", "Most bought"), ("price", "Price, low first"), ("title", "Name"))

LocalPath = Annotated[str, msgspec.Meta(max_length=2000)]


class BasketForm(msgspec.Struct, frozen=True):
    product_id: UUID
    quantity: Annotated[int, msgspec.Meta(ge=0, le=99)]
    next: LocalPath = "/"


@feature.page("/", public=True, cache=SHELVES)
async def browse(
    ctx: Context,
    department: Department | Literal[""] = "",
    q: Search = "",
    sort: Sort | Literal[""] = "",
    stock: Literal["", "on"] = "",
    cursor: Cursor = "",
) -> Page:
    """The shelves."""
    products = await ctx.api(
        list_products, department=department, q=q, sort=sort, in_stock=bool(stock), limit=PAGE_SIZE, cursor=cursor
    )
    departments = await ctx.api(list_departments)
    order = order_of(sort, q)
    chosen = {"department": department, "q": q, "sort": "" if order == order_of("", q) else order, "stock": stock}
    return Page(
        "catalog/browse.html",
        products=products,
        departments=departments,
        all_products=sum(department.products for department in departments),
        basket=await visitor_basket(ctx),
        titles=TITLES,
        sorts=[(value, words) for value, words in SORTS if q.strip() or value != "match"],
        chosen=chosen | {"sort": order},
        here=_address(chosen, cursor),
        next_page=_address(chosen, products.next_cursor) if products.next_cursor else "",
        first_page=_address(chosen) if cursor else "",
    )


@feature.page("/products/{product_id}", public=True)
async def product_page(ctx: Context, product_id: UUID) -> Page:
    product = await ctx.api(get_product, product_id=product_id)
    ctx.analytics.track("product.viewed", sku=product.sku, department=product.department)
    return Page("catalog/product.html", product=product, titles=TITLES, basket=await visitor_basket(ctx), notice="")


@feature.page("/basket", public=True)
async def basket_page(ctx: Context) -> Page:
    return Page("catalog/basket.html", basket=await visitor_basket(ctx), notice="")


@feature.page("/basket/lines", method="POST", public=True)
async def change_basket(ctx: Context, data: BasketForm) -> Page | Redirect:
    """One button of a stepper. Afterwards the page it was on is shown again."""
    back = data.next if is_local(data.next) else "/"
    try:
        await ctx.api(
            put_basket_line,
            basket_id=own_basket_id(ctx),
            product_id=data.product_id,
            data=SetQuantity(quantity=data.quantity),
        )
    except (Conflict, NotFound) as error:
        return Page("catalog/basket.html", status=error.status, basket=await visitor_basket(ctx), notice=error.detail)
    return Redirect(f"{back}#p-{data.product_id}")


def _address(chosen: Mapping[str, str], cursor: str = "") -> str:
    query = urlencode({name: value for name, value in {**chosen, "cursor": cursor}.items() if value})
    return f"/?{query}" if query else "/"
