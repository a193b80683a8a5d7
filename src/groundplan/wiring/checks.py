"""What the health page asks of each component."""

from collections.abc import Awaitable, Callable

from groundplan.app.health import Check
from groundplan.console.telemetry.store import TelemetryStore
from groundplan.settings import Settings
from groundplan.settings.redaction import hide_passwords
from groundplan.wiring.adapters import Adapters


def checks(settings: Settings, adapters: Adapters, telemetry_store: TelemetryStore) -> list[Check]:
    async def database() -> str:
        await adapters.database.ping()
        return "Answers."

    async def telemetry() -> str:
        return f"Keeps {settings.telemetry_max_rows:,} rows of each kind."

    def check(component: str, runs_on: str, ping: Callable[[], Awaitable[str]], *, critical: bool = False) -> Check:
        return Check(component, runs_on, ping, critical)

    return [
        check("Database", adapters.database.runs_on, database, critical=True),
        check("Cache", adapters.redis[0].runs_on if adapters.redis else "In process", adapters.cache.ping),
        check("Queue", _queue_runs_on(settings, adapters), adapters.broker.ping if adapters.broker else database),
        check("Objects", "A folder, var/objects", adapters.objects.store.ping),
        check("Payments", "Sandbox gateway", adapters.payments.gateway.ping),
        check("Mail", "Dev inbox, var/inbox", adapters.mail.transport.ping),
        check("Analytics", "The event log", adapters.analytics.ping),
        check("Telemetry", f"SQLite, {telemetry_store.path.name}", telemetry),
    ]


def _queue_runs_on(settings: Settings, adapters: Adapters) -> str:
    if settings.queue_url == "database":
        return f"The database: {adapters.database.runs_on}"
    return f"{hide_passwords(settings.queue_url)}, and the database"
