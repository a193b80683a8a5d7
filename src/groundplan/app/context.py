"""Context: all that business code sees, the same in routes, pages, handlers, jobs and the command line."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groundplan.app.bound import BoundAnalytics, BoundFlags
from groundplan.app.request import Request
from groundplan.app.services import Services
from groundplan.core.context import current, refuse_open_transaction
from groundplan.core.errors import (
    ConfigurationError,
    Forbidden,
    Misuse,
    TenantMissing,
    TransactionMissing,
    Unauthenticated,
)
from groundplan.data.cache.tenant import TenantCache
from groundplan.data.database.link import Step
from groundplan.data.database.uow import Reader, Transaction
from groundplan.data.objects.port import Objects
from groundplan.data.search.port import Search
from groundplan.integrations.mail.port import Mail
from groundplan.integrations.payments.port import Payments
from groundplan.messaging.message import Envelope, Event, Job
from groundplan.messaging.outbox import Draft
from groundplan.messaging.progress import Progress, ProgressBoard
from groundplan.security.principal import EVERYTHING, Tenant, User, allows, concerns_every_tenant
from groundplan.settings import Settings

if TYPE_CHECKING:
    from groundplan.app.calls import Calls

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
PROGRESS_SECONDS = 0.5
Acknowledge = Callable[[Transaction], None]


class Context:
    """One unit of work: a request, a page, a delivery. Lazy: what is not used costs nothing."""

    def __init__(
        self,
        services: Services,
        calls: "Calls",
        *,
        tenant: Tenant | None,
        user: User | None = None,
        system: bool = False,
        request: Request | None = None,
        idempotency_key: str | None = None,
        message_id: UUID | None = None,
        handler: str | None = None,
        acknowledge: Acknowledge | None = None,
    ) -> None:
        """``system`` may do everything in the tenant; ``acknowledge`` ends the handler's one write transaction."""
        self._services = services
        self._calls = calls
        self._tenant = tenant
        self._reader: Reader | None = None
        self._derived: list[Context] = []
        self._transaction: Transaction | None = None
        self._draft: Draft | None = None
        self._acknowledge = acknowledge
        self._is_page = False
        self._next_progress = 0.0
        self.acknowledged = False
        self.reported = False
        self.user = user
        self.system = system
        self.request = request
        self.idempotency_key = idempotency_key
        self.message_id = message_id
        self.handler = handler

    # Who and where

    @property
    def tenant(self) -> Tenant:
        """Raises TenantMissing where the host, token or message named none."""
        if self._tenant is None:
            raise TenantMissing("This needs a tenant, and neither the host nor the token names one.")
        return self._tenant

    @property
    def has_tenant(self) -> bool:
        return self._tenant is not None

    @property
    def permissions(self) -> frozenset[str]:
        return frozenset({EVERYTHING}) if self.system else self._services.assembly.app.roles.permissions(self.user)

    def can(self, permission: str) -> bool:
        if concerns_every_tenant(permission) and not self.system and not (self._tenant and self._tenant.operates):
            return False
        return allows(self.permissions, permission)

    def require(self, permission: str | None) -> None:
        """Raises Unauthenticated for a visitor, Forbidden for a user, where ``permission`` is not theirs."""
        if permission is None or self.can(permission):
            return
        if self.user is None:
            raise Unauthenticated("Sign in to do this.")
        raise Forbidden(f"Your account may not do this; it takes the permission {permission}.")

    async def for_tenant(self, tenant_id: UUID) -> "Context":
        """The system of another tenant, for work whose tenant is known only from verified content."""
        tenant = await self._services.tenants.by_id(tenant_id)
        if tenant is None:
            raise TenantMissing(f"There is no tenant {tenant_id}.")
        derived = Context(self._services, self._calls, tenant=tenant, system=True, request=self.request)
        self._derived.append(derived)
        return derived

    def apart(self) -> "Context":
        """The same tenant and user in a unit of work of its own, for reading that may outlive this one."""
        return Context(self._services, self._calls, tenant=self._tenant, user=self.user, system=self.system)

    # State

    @property
    def db(self) -> AsyncSession:
        """In a transaction its session, elsewhere a read-only one that holds no transaction open."""
        if self._transaction is not None:
            return self._transaction.session
        return self._read().session

    @property
    def tx(self) -> Transaction:
        """The open transaction, for services that write in it."""
        if self._transaction is None:
            raise TransactionMissing("This writes, so it needs a transaction: use `async with ctx.transaction()`.")
        return self._transaction

    @property
    def in_transaction(self) -> bool:
        return self._transaction is not None

    @asynccontextmanager
    async def transaction(self, first: Step | None = None) -> AsyncIterator[AsyncSession]:
        """The one write transaction of this unit of work; commits at the end of the block.

        ``first`` is a statement that goes along with its begin, and on which it may depend.
        """
        self._need_database()
        if self.acknowledged:
            raise Misuse("A handler has one write transaction, and this one has committed already.")
        await self.release()
        tenant_id = self._tenant.id if self._tenant else None
        async with self._services.database.transaction(tenant_id, first) as transaction:
            self._draft = self._services.outbox.draft(transaction, self._envelope())
            if self._acknowledge is not None:
                self._acknowledge(transaction)
            self._transaction = transaction
            try:
                yield transaction.session
            finally:
                self._transaction, self._draft = None, None
        self.acknowledged = self._acknowledge is not None

    def publish(self, event: Event, *, partition_key: str | None = None) -> UUID:
        """Writes the event with the transaction; its handlers run if and only if that commits."""
        if self._draft is None:
            raise TransactionMissing("An event is a part of a transaction: publish it inside one.")
        return self._draft.publish(self._services.faults.apply(event), partition_key=partition_key)

    def enqueue(self, job: Job, *, delay: float = 0.0, partition_key: str | None = None) -> UUID:
        """Writes the job with the transaction. ``delay`` in seconds."""
        if self._draft is None:
            raise TransactionMissing("A job is a part of a transaction: enqueue it inside one.")
        return self._draft.enqueue(job, delay=delay, partition_key=partition_key)

    async def progress(self, done: int, total: int | None = None, note: str = "") -> None:
        """Says how far this job is; at most twice a second it is written down. Before the transaction, not in it."""
        if self.message_id is None or self.handler is None:
            raise Misuse("Only a handler or a job has progress.")
        refuse_open_transaction("ctx.progress")
        now = self._services.clock.monotonic()
        if now < self._next_progress and done != total:
            return
        self._next_progress = now + PROGRESS_SECONDS
        self.reported = True
        tenant_id = self._tenant.id if self._tenant else None
        user_id = self.user.id if self.user else None
        await self.service(ProgressBoard).report(
            self.message_id, self.handler, tenant_id, user_id, done=done, total=total, note=note
        )

    async def progress_of(self, *jobs: UUID) -> dict[UUID, Progress]:
        """How far jobs of this tenant are, by message id; those that have told nothing yet are left out."""
        return await self.service(ProgressBoard).of(jobs, self._tenant.id if self._tenant else None)

    def audit(self, action: str, subject: str, **detail: Any) -> None:
        """Notes who did what, in the transaction of the act."""
        actor = self.user.email if self.user else "system" if self.system else "visitor"
        self._services.audit.add(
            self.tx, action, subject, actor=actor, tenant_id=self._tenant.id if self._tenant else None, detail=detail
        )

    @property
    def cache(self) -> TenantCache:
        return self._services.cache.bind(self.tenant.id, lambda: self._transaction)

    @property
    def search(self) -> Search:
        """This tenant's index of texts. It is in the database: written in the open transaction, read like ``db``."""
        return self._services.search.bind(self.tenant.id, self.db, writes=self._transaction is not None)

    def render_page(self) -> None:
        """From here on this is a page, which has no database: it calls the API."""
        self._is_page = True

    # Outside

    async def api(
        self, function: Callable[Concatenate["Context", P], Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Calls an API function as this user, with its validation, permission and transaction.

        In one process without a socket; over HTTP where API_URL names another. No transaction may be open around it.
        """
        refuse_open_transaction("ctx.api")
        await self.release()
        result: R = await self._calls.call(self, function, args, kwargs)
        return result

    @property
    def objects(self) -> Objects:
        """This tenant's; keys are relative to it."""
        return self._services.objects.bind(self.tenant.id)

    @property
    def mail(self) -> Mail:
        return self._services.mail

    @property
    def payments(self) -> Payments:
        return self._services.payments

    @property
    def analytics(self) -> BoundAnalytics:
        return BoundAnalytics(self._services.analytics, self._tenant, self.user)

    @property
    def flags(self) -> BoundFlags:
        return BoundFlags(self._services.flags, self._tenant, self.user)

    # The rest

    @property
    def log(self) -> Any:
        return self._services.log

    @property
    def settings(self) -> Settings:
        return self._services.settings

    def now(self) -> datetime:
        return self._services.clock.now()

    def service(self, kind: type[S]) -> S:
        """A service that the composition root registered under its type."""
        try:
            found: S = self._services.registry[kind]
        except KeyError:
            raise ConfigurationError(f"No service of type {kind.__name__} is registered in this process.") from None
        return found

    async def release(self) -> None:
        """Gives the reading connection back; the next read takes one again."""
        for context in (self, *self._derived):
            if context._reader is not None:
                await context._reader.release()

    def _read(self) -> Reader:
        self._need_database()
        if self._reader is None:
            self._reader = self._services.database.reader(self._tenant.id if self._tenant else None)
        return self._reader

    def _need_database(self) -> None:
        if self._is_page:
            raise Misuse("A page has no database: call an API function with `ctx.api`.")

    def _envelope(self) -> Envelope:
        context = current()
        return Envelope(
            tenant_id=self._tenant.id if self._tenant else None,
            user_id=self.user.id if self.user else None,
            request_id=context.request_id if context else "",
            traceparent=context.traceparent if context else "",
        )
