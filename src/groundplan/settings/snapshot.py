"""The settings of a process, as it started."""

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from groundplan.settings.catalogue import VARIABLES

Environment = Literal["local", "ci", "staging", "prod"]
LogLevel = Literal["debug", "info", "warn", "error"]


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Settings:
    """Read-only. What each is for stands in the catalogue, with its name in the environment."""

    root: Path
    """The project's folder, against which relative paths were resolved."""

    env: Environment
    host: str
    port: int
    public_url: str
    api_url: str | None
    log_level: LogLevel

    request_seconds: float
    body_seconds: float
    header_seconds: float
    trusted_proxies: str
    """Networks, separated by commas."""
    rate_limits: Literal["on", "off"]
    rate_limit_ip: str
    """As ``quota_of`` reads it, or ``off``."""
    rate_limit_user: str

    database_url: str
    """``postgresql+asyncpg://...`` or ``sqlite+aiosqlite:////absolute/path``."""
    database_migrate_url: str | None
    database_pool_size: int
    database_wait_seconds: int
    redis_url: str | None
    rate_limit_outage_share: float
    cache_max_entries: int
    cache_max_bytes: int
    queue_url: str
    object_storage: str
    """``file:///absolute/path``; see ``path_of``."""

    secret_key: str
    external_auth_domain: str | None
    client_id: str | None
    client_secret: str | None
    operator_tenant: str | None
    feature_flags: str
    """flagd's format, as JSON."""

    worker_slots: int
    worker_lease_seconds: int
    readiness_seconds: int
    drain_seconds: int

    customer_urls: Literal["public", "any"]
    customer_urls_denied: str
    """Networks, separated by commas."""

    telemetry_url: str
    """``sqlite:////absolute/path``."""
    telemetry_max_rows: int
    trace_sample: float
    trace_slow_ms: int

    def derived_key(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose, so that nothing signed for one is valid for another."""
        return hmac.digest(self.secret_key.encode(), f"groundplan/{purpose}".encode(), hashlib.sha256)

    def __repr__(self) -> str:
        values = (f"{variable.field}={variable.shown(getattr(self, variable.field))!r}" for variable in VARIABLES)
        return f"Settings({', '.join(values)})"
