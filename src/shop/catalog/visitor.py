"""The visitor's basket: its random id travels in a cookie, so that one can fill it first and sign in later."""

from uuid import UUID, uuid4

from groundplan.app import Context
from shop.catalog.baskets import BasketView, get_basket

COOKIE = "basket"
_COOKIE_SECONDS = 90 * 24 * 3600


def basket_id_of(ctx: Context) -> UUID | None:
    """The id in the visitor's cookie, if there is a sound one."""
    text = ctx.request.cookie(COOKIE) if ctx.request else None
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def own_basket_id(ctx: Context) -> UUID:
    """The visitor's basket; starts one where they have none."""
    basket_id = basket_id_of(ctx)
    if basket_id is None:
        basket_id = uuid4()
        if ctx.request is not None:
            ctx.request.set_cookie(COOKIE, str(basket_id), max_age=_COOKIE_SECONDS)
    return basket_id


async def visitor_basket(ctx: Context) -> BasketView:
    """What every page of the shop shows in its basket button."""
    basket_id = basket_id_of(ctx)
    return await ctx.api(get_basket, basket_id=basket_id) if basket_id else BasketView()
