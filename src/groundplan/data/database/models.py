"""The base of all models, and the mark of those that belong to a tenant."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from groundplan.data.database.types import Id, Instant, Text


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {UUID: Id, datetime: Instant, str: Text, int: BigInteger}


class TenantScoped:
    """A mixin: every query of it needs a tenant, and sees only that tenant's rows."""

    tenant_id: Mapped[UUID] = mapped_column(index=True)
