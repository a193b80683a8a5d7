"""Who is asking, and in which tenant: by internal assertion, bearer token or session cookie, and by host."""

from groundplan.app.request import Request
from groundplan.core.errors import Forbidden, Unauthenticated
from groundplan.core.urls import host_of
from groundplan.security.assertion import Assertions
from groundplan.security.principal import Tenant, User
from groundplan.security.sessions import Sessions
from groundplan.security.tenants import Tenants

ASSERTION_HEADER = "groundplan-assertion"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Identity:
    def __init__(self, tenants: Tenants, sessions: Sessions, assertions: Assertions) -> None:
        self._tenants = tenants
        self._sessions = sessions
        self._assertions = assertions

    async def of(self, request: Request) -> tuple[Tenant | None, User | None]:
        """The tenant and user of a request; a visitor has no user. An assertion also says whose request it was.

        Raises:
            Unauthenticated: a token or assertion was sent and is not valid.
            Forbidden: a browser sent a write that started on another site.
        """
        if assertion := request.headers.get(ASSERTION_HEADER):
            claims = self._assertions.verify(assertion)
            request.client, request.asserted_credential = claims.client, claims.credential
            return await self._tenants.by_slug(claims.tenant_slug), claims.user
        if authorization := request.headers.get("authorization"):
            return await self._by_token(request, authorization)
        cookie = request.cookie("session")
        if request.method not in _SAFE and not request.path.startswith("/webhooks/"):
            refuse_cross_site(request, has_session=bool(cookie))
        user = await self._sessions.user_of(cookie) if cookie else None
        return await self._place(request, user)

    async def _by_token(self, request: Request, authorization: str) -> tuple[Tenant | None, User | None]:
        scheme, _, token = authorization.partition(" ")
        user = await self._sessions.user_of(token.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            raise Unauthenticated("The bearer token is not valid or has expired. Sign in again: POST /api/v1/sessions.")
        tenant, user_here = await self._place(request, user)
        if user_here is None:
            raise Unauthenticated("The bearer token belongs to another store.")
        return tenant, user_here

    async def _place(self, request: Request, user: User | None) -> tuple[Tenant | None, User | None]:
        """A host of its own decides the tenant; on a bare host the user's tenant does, else the first."""
        by_host = await self._tenants.by_host(request.host)
        if user is None:
            return by_host, None
        if self._tenants.is_bare(request.host):
            return await self._tenants.by_id(user.tenant_id), user
        return by_host, user if by_host is not None and by_host.id == user.tenant_id else None


def refuse_cross_site(request: Request, *, has_session: bool) -> None:
    """Fetch Metadata first, Origin where a browser does not send it; a session cookie with neither is refused.

    Raises:
        Forbidden: the request did not start on this host.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        refused = site not in ("same-origin", "none")
    elif origin is not None:
        refused = host_of(origin) != request.host.lower()
    else:
        refused = has_session
    if refused:
        raise Forbidden("This form was sent from another site. Open the page here and send it again.")
