"""Accounts and sessions over the API."""

from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from groundplan.accounts import feature
from groundplan.app import Context, RateLimit
from groundplan.app.request_limits import RequestLimits
from groundplan.core.errors import FieldError, Invalid, Unauthenticated
from groundplan.core.formats import Email
from groundplan.core.quotas import Quota
from groundplan.security.passwords import MAXIMUM_LENGTH, MINIMUM_LENGTH, Passwords
from groundplan.security.sessions import Sessions
from groundplan.security.users import Users

SIGN_INS = Quota(10, 60)
"""For one address of mail, wherever they come from; those that succeed count too."""


class SignUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: Email
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    password: Annotated[str, msgspec.Meta(max_length=MAXIMUM_LENGTH)]


class SignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: Annotated[str, msgspec.Meta(max_length=254)]
    password: Annotated[str, msgspec.Meta(max_length=MAXIMUM_LENGTH)]
    kind: Literal["browser", "script"] = "script"
    """A script's session lasts 15 minutes, a browser's 12 hours."""


class Account(msgspec.Struct, frozen=True):
    id: UUID
    email: str
    name: str


class SessionView(msgspec.Struct, frozen=True):
    token: str
    """Send it as ``Authorization: Bearer <token>``."""
    expires_at: datetime


@feature.post("/accounts", public=True, transaction=False, status=201, limit=RateLimit("30/min", per="ip"))
async def create_account(ctx: Context, data: SignUp) -> Account:
    """Opens a customer's account in this store."""
    if len(data.password) < MINIMUM_LENGTH:
        raise Invalid(
            f"The password needs at least {MINIMUM_LENGTH} characters. A few words are easy to remember.",
            errors=(FieldError("/password", f"at least {MINIMUM_LENGTH} characters"),),
        )
    password_hash = await ctx.service(Passwords).hash(data.password)
    async with ctx.transaction():
        user = await ctx.service(Users).add(
            ctx.tx,
            tenant_id=ctx.tenant.id,
            email=data.email,
            name=data.name.strip() or data.email,
            password_hash=password_hash,
        )
        ctx.audit("account.create", str(user.id))
    return Account(user.id, user.email, user.name)


@feature.post("/sessions", public=True, transaction=False, status=201, limit=RateLimit("60/min", per="ip"))
async def create_session(ctx: Context, data: SignIn) -> SessionView:
    """Signs in. The answer to a wrong password and to an unknown address is the same, and takes as long."""
    account = blake2b(data.email.strip().lower().encode(errors="surrogatepass"), digest_size=16).hexdigest()
    await ctx.service(RequestLimits).named("accounts.create_session.account", f"{ctx.tenant.id} {account}", SIGN_INS)
    found = await ctx.service(Users).credentials(ctx.tenant.id, data.email.strip())
    matches = await ctx.service(Passwords).verify(found.password_hash if found else None, data.password)
    if found is None or not matches:
        raise Unauthenticated("That email and password do not match.")
    async with ctx.transaction():
        session = await ctx.service(Sessions).open(ctx.tx, found.user, data.kind)
        ctx.audit("session.open", str(found.user.id), kind=data.kind)
    return SessionView(session.token, session.expires_at)


class SignOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: Annotated[str, msgspec.Meta(max_length=100)]


@feature.post("/sessions/close", public=True, status=204, limit=RateLimit("60/min", per="ip"))
async def close_session(ctx: Context, data: SignOut) -> None:
    """Ends the session; its token is worth nothing afterwards. The answer is the same where there was none."""
    if user_id := await ctx.service(Sessions).close(ctx.tx, data.token):
        ctx.audit("session.close", str(user_id))
