"""The receipt as a mail."""

from groundplan.integrations.mail.port import Message
from shop.orders.views import OrderView

_WIDTH = 56


def receipt(order: OrderView, *, store: str, to: str) -> Message:
    lines = [_line(f"{line.quantity} × {line.title}, {line.size}", line.amount_cents) for line in order.lines]
    text = "\n".join(
        [
            f"{store}",
            f"Receipt for order {order.number}",
            f"Placed {order.placed_at:%Y-%m-%d %H:%M} UTC, paid by {order.paid_by}",
            "",
            *lines,
            "-" * _WIDTH,
            _line("Items", order.items_cents),
            _line("Sales tax", order.tax_cents),
            _line("Paid", order.total_cents),
            "",
            "Collect it at the counter. Thank you.",
        ]
    )
    return Message(to=to, subject=f"Your receipt for order {order.number}", text=text)


def _line(text: str, cents: int) -> str:
    amount = f"${cents // 100:,}.{cents % 100:02d}"
    room = _WIDTH - len(amount) - 1
    shown = text if len(text) <= room else f"{text[: room - 1]}…"
    return f"{shown:<{room}} {amount}"
