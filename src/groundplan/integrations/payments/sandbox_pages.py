"""The sandbox gateway's own pages: approve or decline. Another house, so nothing here knows of shops or sessions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, get, post
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from groundplan.core.errors import DeadlineExceeded, OutsideCallFailed, OutsideCallRefused, Unauthenticated
from groundplan.integrations.payments.sandbox import METHOD, OpenPayment, SandboxGateway

_DECISIONS: dict[str, Literal["paid", "declined"]] = {"approve": "paid", "decline": "declined"}
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_AnyRequest = Request[Any, Any, Any]


def sandbox_routes(gateway: SandboxGateway, stylesheet: Callable[[], str]) -> list[Any]:
    """Litestar handlers for ``/sandbox/payments/...``; ``stylesheet`` is the address of the platform's sheet."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
    )

    def page(status: int, **shown: Any) -> ASGIResponse:
        facts = {"payment": None, "merchant": "", "notice": "", "decision": "", "method": METHOD} | shown
        body = environment.get_template("payment.html").render(stylesheet=stylesheet(), **facts)
        return ASGIResponse(
            body=body.encode(),
            status_code=status,
            media_type="text/html",
            headers={"content-security-policy": _POLICY},
        )

    def opened(token: str, host: str) -> OpenPayment:
        payment = gateway.opened(token)
        if not gateway.may_return_to(payment.charge.return_url, host):
            raise Unauthenticated("It would send you to an address that is not the merchant's.")
        return payment

    @get("/sandbox/payments/{token:str}", include_in_schema=False)
    async def show(request: _AnyRequest, token: FromPath[str]) -> ASGIResponse:
        host = request.headers.get("host", "")
        try:
            payment = opened(token, host)
        except Unauthenticated as error:
            return page(400, notice=error.detail)
        return page(200, payment=payment, merchant=_merchant(payment, host))

    @post("/sandbox/payments/{token:str}", include_in_schema=False)
    async def decide(request: _AnyRequest, token: FromPath[str]) -> ASGIResponse:
        host = request.headers.get("host", "")
        try:
            payment = opened(token, host)
        except Unauthenticated as error:
            return page(400, notice=error.detail)
        form = await request.form()
        decision = str(form.get("decision", ""))
        shown = {"payment": payment, "merchant": _merchant(payment, host)}
        if decision not in _DECISIONS:
            return page(400, **shown, notice="Choose approve or decline.")
        try:
            await gateway.decide(payment, _DECISIONS[decision], times=2 if form.get("twice") else 1)
        except (DeadlineExceeded, OutsideCallFailed, OutsideCallRefused) as error:
            notice = f"The shop did not take our message: {error.detail}"
            return page(502, **shown, notice=notice, decision=decision)
        return ASGIResponse(status_code=303, headers={"location": payment.charge.return_url}, media_type="text/plain")

    return [show, decide]


def _merchant(payment: OpenPayment, host: str) -> str:
    """The shop by its address, as the customer's bank would know it."""
    return urlsplit(payment.charge.return_url).netloc or host
