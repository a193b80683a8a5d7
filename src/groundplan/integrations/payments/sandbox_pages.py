"""The sandbox gateway's own pages: approve or decline. Another house, so nothing here knows of shops or sessions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, get, post
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from groundplan.core.errors import OutsideCallFailed, OutsideCallRefused, Unauthenticated
from groundplan.integrations.payments.sandbox import METHOD, OpenPayment, SandboxGateway

_DECISIONS: dict[str, Literal["paid", "declined"]] = {"approve": "paid", "decline": "declined"}


def sandbox_routes(gateway: SandboxGateway, stylesheet: Callable[[], str]) -> list[Any]:
    """Litestar handlers for ``/sandbox/payments/...``; ``stylesheet`` is the address of the platform's sheet."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
    )

    def page(status: int, payment: OpenPayment | None, notice: str, decision: str = "") -> ASGIResponse:
        body = environment.get_template("payment.html").render(
            payment=payment, notice=notice, decision=decision, stylesheet=stylesheet(), method=METHOD
        )
        return ASGIResponse(body=body.encode(), status_code=status, media_type="text/html")

    @get("/sandbox/payments/{token:str}", include_in_schema=False)
    async def show(token: FromPath[str]) -> ASGIResponse:
        try:
            return page(200, gateway.opened(token), "")
        except Unauthenticated as error:
            return page(400, None, error.detail)

    @post("/sandbox/payments/{token:str}", include_in_schema=False)
    async def decide(request: Request[Any, Any, Any], token: FromPath[str]) -> ASGIResponse:
        form = await request.form()
        decision = str(form.get("decision", ""))
        try:
            payment = gateway.opened(token)
        except Unauthenticated as error:
            return page(400, None, error.detail)
        if decision not in _DECISIONS:
            return page(400, payment, "Choose approve or decline.")
        try:
            await gateway.decide(payment, _DECISIONS[decision], times=2 if form.get("twice") else 1)
        except (OutsideCallFailed, OutsideCallRefused) as error:
            return page(502, payment, f"The shop did not take our message: {error.detail}", decision)
        return ASGIResponse(status_code=303, headers={"location": payment.charge.return_url}, media_type="text/plain")

    return [show, decide]
