"""The pages to sign up, in and out, and the theme of all pages."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from groundplan.accounts import feature
from groundplan.accounts.api import SignIn, SignOut, SignUp, close_session, create_account, create_session
from groundplan.app import Context, Page, Redirect
from groundplan.app.application import DemoAccounts
from groundplan.core.errors import Conflict, Invalid, Unauthenticated
from groundplan.core.urls import host_of, is_local
from groundplan.security.sessions import LIFETIMES

SESSION_COOKIE = "session"
_THEME_SECONDS = 365 * 24 * 3600
Text = Annotated[str, msgspec.Meta(max_length=2000)]


class SignInForm(msgspec.Struct, frozen=True):
    email: Text = ""
    password: Text = ""
    next: Text = ""


class SignUpForm(msgspec.Struct, frozen=True):
    email: Text = ""
    name: Text = ""
    password: Text = ""
    next: Text = ""


class ThemeForm(msgspec.Struct, frozen=True):
    theme: Literal["system", "light", "dark"] = "system"


@feature.page("/sign-in", public=True)
async def sign_in_page(ctx: Context, next: Text = "/") -> Page:
    return _sign_in_page(ctx, next)


@feature.page("/sign-in", method="POST", public=True)
async def sign_in(ctx: Context, data: SignInForm) -> Page | Redirect:
    try:
        await _open_session(ctx, data.email, data.password)
    except (Unauthenticated, Invalid) as error:
        return _sign_in_page(ctx, data.next, status=error.status, email=data.email, error=error.detail)
    return Redirect(_local(data.next))


@feature.page("/sign-up", public=True)
async def sign_up_page(ctx: Context, next: Text = "/") -> Page:
    return Page("accounts/sign_up.html", email="", name="", next=_local(next), error="", field="")


@feature.page("/sign-up", method="POST", public=True)
async def sign_up(ctx: Context, data: SignUpForm) -> Page | Redirect:
    try:
        await ctx.api(create_account, data=SignUp(email=data.email, name=data.name, password=data.password))
    except (Invalid, Conflict) as error:
        field = error.errors[0].pointer.removeprefix("/data").strip("/") if error.errors else "email"
        return Page(
            "accounts/sign_up.html",
            status=error.status,
            email=data.email,
            name=data.name,
            next=_local(data.next),
            error=error.detail if isinstance(error, Conflict) or not error.errors else error.errors[0].detail,
            field=field,
        )
    await _open_session(ctx, data.email, data.password)
    return Redirect(_local(data.next))


@feature.page("/sign-out", method="POST", public=True)
async def sign_out(ctx: Context) -> Redirect:
    token = ctx.request.cookie(SESSION_COOKIE) if ctx.request else None
    if token and ctx.request:
        await ctx.api(close_session, data=SignOut(token))
        ctx.request.set_cookie(SESSION_COOKIE, "", max_age=0)
    return Redirect("/")


@feature.page("/theme", method="POST", public=True)
async def set_theme(ctx: Context, data: ThemeForm) -> Redirect:
    if ctx.request is None:
        return Redirect("/")
    ctx.request.set_cookie("theme", data.theme, max_age=_THEME_SECONDS)
    referer = ctx.request.headers.get("referer", "")
    if host_of(referer) != ctx.request.host.lower():
        return Redirect("/")
    came_from = urlsplit(referer)
    return Redirect(_local(f"{came_from.path}?{came_from.query}" if came_from.query else came_from.path))


def _sign_in_page(ctx: Context, next: str, *, status: int = 200, email: str = "", error: str = "") -> Page:
    demo = ctx.service(DemoAccounts)
    return Page(
        "accounts/sign_in.html",
        status=status,
        email=email,
        next=_local(next),
        error=error,
        demo_accounts=demo if demo.accounts else None,
    )


async def _open_session(ctx: Context, email: str, password: str) -> None:
    """A new session in place of the one that this browser may have."""
    session = await ctx.api(create_session, data=SignIn(email=email, password=password, kind="browser"))
    if ctx.request:
        if before := ctx.request.cookie(SESSION_COOKIE):
            await ctx.api(close_session, data=SignOut(before))
        ctx.request.set_cookie(SESSION_COOKIE, session.token, max_age=int(LIFETIMES["browser"].total_seconds()))


def _local(url: str) -> str:
    """The URL if it stays on this host, else the front page."""
    return url if is_local(url) else "/"
