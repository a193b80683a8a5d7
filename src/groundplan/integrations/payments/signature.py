"""Signatures of callbacks, in the form of Standard Webhooks: HMAC-SHA256 over ``id.timestamp.body``."""

import base64
import hashlib
import hmac
from collections.abc import Mapping

from groundplan.core.clock import Clock
from groundplan.core.errors import Unauthenticated

TOLERANCE_SECONDS = 300


class Signature:
    def __init__(self, key: bytes, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    def sign(self, message_id: str, body: bytes) -> dict[str, str]:
        """The three headers to send with ``body``."""
        timestamp = str(int(self._clock.now().timestamp()))
        return {
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": self._signature(message_id, timestamp, body),
        }

    def verify(self, headers: Mapping[str, str], body: bytes) -> str:
        """The message's id. Raises Unauthenticated where the signature is missing, wrong or older than 5 minutes."""
        message_id = headers.get("webhook-id", "")
        timestamp = headers.get("webhook-timestamp", "")
        if not message_id or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            raise Unauthenticated("The callback is not signed.")
        if abs(self._clock.now().timestamp() - int(timestamp)) > TOLERANCE_SECONDS:
            raise Unauthenticated("The callback's timestamp is more than 5 minutes off.")
        expected = self._signature(message_id, timestamp, body).encode()
        given = headers.get("webhook-signature", "").encode("utf-8", "replace").split()
        if not any(hmac.compare_digest(expected, each) for each in given):
            raise Unauthenticated("The callback's signature is wrong.")
        return message_id

    def _signature(self, message_id: str, timestamp: str, body: bytes) -> str:
        mac = hmac.new(self._key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
        return "v1," + base64.b64encode(mac.digest()).decode()
