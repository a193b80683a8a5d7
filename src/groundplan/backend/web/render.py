"""Templates to HTML: Jinja2, synchronous, escaped, with what every page needs."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from groundplan.app.context import Context
from groundplan.app.page import Page
from groundplan.backend.web.static import StaticFiles
from groundplan.core.context import current

THEMES = ("light", "dark")


class Renderer:
    def __init__(self, folders: Sequence[Path], static: StaticFiles, *, env_name: str) -> None:
        """``folders`` are searched in order; the first that holds a template wins."""
        self._environment = Environment(
            loader=FileSystemLoader([str(folder) for folder in folders]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals.update(static=static.url, money=money, env=env_name)
        self._environment.filters.update(instant=instant, clock=clock)

    def __call__(self, page: Page, context: Context | None, scope: Any) -> bytes:
        request = context.request if context else None
        theme = request.cookie("theme") if request else None
        now = current()
        common: dict[str, Any] = {
            "tenant": context.tenant if context and context.has_tenant else None,
            "user": context.user if context else None,
            "can": context.can if context else _nobody_can,
            "csp_nonce": scope.get("csp_nonce", ""),
            "theme": theme if theme in THEMES else "",
            "path": scope["path"],
            "request_id": now.request_id if now else "",
            "trace_id": now.trace_id if now else "",
        }
        return self._environment.get_template(page.template).render(common | page.data).encode("utf-8")


def money(cents: int) -> str:
    """US dollars: 2260 -> ``$22.60``."""
    sign = "−" if cents < 0 else ""
    return f"{sign}${abs(cents) // 100:,}.{abs(cents) % 100:02d}"


def instant(at: datetime | None, form: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    return at.strftime(form) if at else "never"


def clock(at: datetime | None) -> str:
    return at.strftime("%H:%M:%S") if at else "never"


def _nobody_can(permission: str) -> bool:
    return False
