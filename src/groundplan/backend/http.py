"""The web and API roles as one ASGI application."""

from collections.abc import Sequence
from typing import Any

from litestar import Litestar
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from groundplan.app.calls import Calls
from groundplan.app.route import Route
from groundplan.app.services import Services
from groundplan.backend.api.docs import docs_routes
from groundplan.backend.endpoints import handlers
from groundplan.backend.limits import BODY_LIMIT
from groundplan.backend.refusals import Refusals
from groundplan.backend.web.render import Renderer


def http_app(
    services: Services,
    calls: Calls,
    renderer: Renderer,
    refusals: Refusals,
    *,
    routes: Sequence[Route],
    extra: Sequence[Any],
    version: str,
) -> Litestar:
    """``routes`` are those of this role; ``extra`` are plain Litestar handlers: plumbing, sandbox pages, mounts."""
    return Litestar(
        [*handlers(tuple(routes), calls, renderer), *extra, *docs_routes(renderer)],
        exception_handlers={Exception: refusals},
        request_max_body_size=BODY_LIMIT,
        openapi_config=OpenAPIConfig(
            title=services.assembly.app.name.capitalize(),
            version=version,
            path="/docs/schema",
            render_plugins=[JsonRenderPlugin()],  # its own pages would load scripts from outside
            use_handler_docstrings=True,
            components=Components(security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer")}),
        ),
        logging_config=None,
        debug=False,
    )
