"""The first wall between tenants: a session knows its tenant, and every statement of it is confined to that tenant.

The second wall is row-level security in PostgreSQL; see ``migrate.tenant_wall``.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, Table, TextClause, bindparam, event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import ORMExecuteState, Session, UOWTransaction, with_loader_criteria
from sqlalchemy.sql.util import find_tables

from groundplan.core.errors import Misuse, TenantMissing
from groundplan.data.database.models import TenantScoped
from groundplan.data.database.types import Id

_TENANT = "tenant_id"
_READ_ONLY = "read_only"


_PARAMETER = "groundplan_tenant"
_VALUE = bindparam(_PARAMETER, type_=Id())
_OF_THE_TENANT = with_loader_criteria(TenantScoped, lambda kind: kind.tenant_id == _VALUE, include_aliases=True)
"""Confines every tenant-scoped entity of a statement, in joins, subqueries and loaders too."""


class TenantSession(Session):
    """The synchronous core of every AsyncSession of ours; the listeners below belong to it alone."""


class LazySession(AsyncSession):
    """Made whole at its first use: many units of work are given one, and never use it."""

    def __init__(self, bind: Callable[[], Any], tenant_id: UUID | None, *, read_only: bool) -> None:
        self._make_bind = bind
        self._tenant_id = tenant_id
        self._is_read_only = read_only

    @property
    def used(self) -> bool:
        return "sync_session" in self.__dict__

    def __getattr__(self, name: str) -> Any:
        """Python asks here for what is not there yet; after the first time, all of it is."""
        if self.used or name.startswith("__"):
            raise AttributeError(name)
        super().__init__(
            bind=self._make_bind(),
            sync_session_class=TenantSession,
            autoflush=False,
            expire_on_commit=False,
            info={_TENANT: self._tenant_id, _READ_ONLY: self._is_read_only},
        )
        return getattr(self, name)


@event.listens_for(TenantSession, "do_orm_execute")
def _confine(state: ORMExecuteState) -> None:
    tenant_id: UUID | None = state.session.info[_TENANT]
    if state.session.info[_READ_ONLY] and (state.is_insert or state.is_update or state.is_delete):
        raise Misuse("This session only reads. Writes belong in `async with ctx.transaction()`.")
    if state.execution_options.get("unscoped"):
        return
    if not state.is_orm_statement:
        _refuse_bare_tables(state)
        return
    if tenant_id is None:
        for mapper in state.all_mappers:
            if issubclass(mapper.class_, TenantScoped):
                raise TenantMissing(f"{mapper.class_.__name__} belongs to a tenant, and this work has none.")
    if state.is_insert:
        return
    if state.parameters is not None and not isinstance(state.parameters, Mapping):
        raise Misuse("Many updates at once by primary key see every tenant. Say one update with a WHERE instead.")
    # Without a tenant the parameter is NULL, and no row of any tenant matches it.
    state.parameters = {**(state.parameters or {}), _PARAMETER: tenant_id}
    statement: Any = state.statement
    if _OF_THE_TENANT not in statement._with_options:  # what a loader of relationships asks has it from its parent
        state.statement = statement.options(_OF_THE_TENANT)


def _refuse_bare_tables(state: ORMExecuteState) -> None:
    statement: Any = state.statement
    every = {"check_columns": True, "include_joins": True, "include_selects": True, "include_crud": True}
    for table in find_tables(statement, **every):
        if isinstance(table, Table) and "tenant_id" in table.c:
            raise TenantMissing(
                f"This statement names the table {table.description} itself, past its tenant. Select the model, "
                "or say .execution_options(unscoped=True) and filter by tenant yourself."
            )
    if isinstance(statement, TextClause):
        raise TenantMissing("A text statement may see every tenant. Say .execution_options(unscoped=True) if it must.")


@event.listens_for(TenantSession, "before_flush")
def _stamp(session: Session, context: UOWTransaction, instances: Any) -> None:
    if session.info[_READ_ONLY] and (session.new or session.dirty or session.deleted):
        raise Misuse("This session only reads. Writes belong in `async with ctx.transaction()`.")
    tenant_id: UUID | None = session.info[_TENANT]
    for row in session.new:
        if isinstance(row, TenantScoped):
            if tenant_id is None:
                raise TenantMissing(f"{type(row).__name__} belongs to a tenant, and this work has none.")
            if row.tenant_id is None:
                row.tenant_id = tenant_id
            else:
                _refuse_another(row, tenant_id)
    for row in (*session.dirty, *session.deleted):
        _refuse_another(row, tenant_id)


def _refuse_another(row: object, tenant_id: UUID | None) -> None:
    if isinstance(row, TenantScoped) and row.tenant_id != tenant_id:
        raise TenantMissing(f"This {type(row).__name__} belongs to another tenant.")


@event.listens_for(TenantSession, "after_begin")
def _name_tenant(session: Session, transaction: Any, connection: Any) -> None:
    """A reader's connection has no transaction, so its tenant is set for the connection, and stays until another's."""
    if session.info[_READ_ONLY] and connection.dialect.name == "postgresql":
        tenant_id: UUID | None = session.info[_TENANT]
        name = str(tenant_id) if tenant_id else ""
        if connection.info.get(_TENANT) != name:
            connection.exec_driver_sql("SELECT set_config('groundplan.tenant', $1, false)", (name,))
            connection.info[_TENANT] = name


def doubt_tenant(engine: Engine) -> None:
    """Whatever might have set another tenant on a reader's connection makes the next one set its own anew."""

    @event.listens_for(engine, "do_execute")
    def doubt(cursor: Any, statement: str, parameters: Any, context: Any) -> None:
        if context.compiled is None or context.is_text or "set_config" in statement:
            with suppress(NotImplementedError):  # the dialect's first look at a server, by a connection without any
                context.root_connection.info.pop(_TENANT, None)
