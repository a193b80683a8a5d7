"""The one error tree.

Every class carries its HTTP status and whether a worker should try again.

    GroundplanError                      500  retry
    ├── Refused                          400         the caller must change something
    │   ├── Invalid                      400         the input does not fit its schema
    │   ├── AddressRefused               400         a customer's URL leads to where we do not call
    │   ├── Unauthenticated              401
    │   ├── Forbidden                    403
    │   ├── NotFound                     404
    │   ├── Conflict                     409
    │   │   └── IdempotencyKeyInUse      409  retry
    │   ├── TooLarge                     413
    │   ├── IdempotencyKeyReused         422
    │   ├── InvalidPayload               422         a stored message does not fit its schema
    │   └── RateLimited                  429  retry  this caller has asked often enough for now
    ├── Unavailable                      503  retry  a part of ours is down or draining
    ├── DeadlineExceeded                 504  retry
    ├── OutsideCallFailed                502  retry  a peer did not answer, or answered 5xx
    │   └── PeerUnavailable              503  retry  a peer was not called: it keeps failing, or is called enough
    ├── OutsideCallRefused               502         a peer said no, and will say no again
    │   └── PeerBusy                     503  retry  a peer said 429: too many calls for now
    ├── LeaseLost                        500         another worker owns this delivery now
    ├── Snooze                           503  retry  a handler wants to run later; not a failure
    ├── Cancel                           500         a handler wants its message to end here; not a failure
    ├── Misuse                           500         a rule of the house was broken by code
    │   ├── TransactionOpen              500
    │   ├── TransactionMissing           500
    │   └── TenantMissing                500
    └── ConfigurationError               500         the process must not start (exit code 2)
"""

from typing import ClassVar, NamedTuple


class FieldError(NamedTuple):
    """One thing wrong with one input; ``pointer`` is a JSON pointer (RFC 6901) into it."""

    pointer: str
    detail: str


class GroundplanError(Exception):
    """The root. ``detail`` is a sentence for people: what happened, why, what to do."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"
    retryable: ClassVar[bool] = True

    retry_after: float | None = None
    """Seconds before which trying again is of no use, where somebody said so."""

    def __init__(
        self, detail: str = "", *, errors: tuple[FieldError, ...] = (), retry_after: float | None = None
    ) -> None:
        self.detail = detail or self.title
        self.errors = errors
        if retry_after is not None:
            self.retry_after = retry_after
        super().__init__(self.detail)

    def __str__(self) -> str:
        if not self.errors:
            return self.detail
        return self.detail + " " + "; ".join(f"{e.pointer or '/'}: {e.detail}" for e in self.errors)


class Refused(GroundplanError):
    status = 400
    title = "The request was refused"
    retryable = False


class Invalid(Refused):
    title = "The input is not valid"


class AddressRefused(Refused):
    title = "This address is not called"


class Unauthenticated(Refused):
    status = 401
    title = "Sign in first"


class Forbidden(Refused):
    status = 403
    title = "Not allowed"


class NotFound(Refused):
    status = 404
    title = "Not found"


class Conflict(Refused):
    status = 409
    title = "That does not fit the current state"


class IdempotencyKeyInUse(Conflict):
    title = "A request with this Idempotency-Key is still running"
    retryable = True


class TooLarge(Refused):
    status = 413
    title = "The request is too large"


class IdempotencyKeyReused(Refused):
    status = 422
    title = "This Idempotency-Key was used with another request"


class InvalidPayload(Refused):
    status = 422
    title = "The payload does not fit its schema"


class RateLimited(Refused):
    status = 429
    title = "Too many requests"
    retryable = True

    def __init__(
        self,
        detail: str = "",
        *,
        errors: tuple[FieldError, ...] = (),
        retry_after: float | None = None,
        policies: tuple[str, ...] = (),
    ) -> None:
        """``policies`` names the limits that were reached, as the header RateLimit-Policy does."""
        super().__init__(detail, errors=errors, retry_after=retry_after)
        self.policies = policies


class Unavailable(GroundplanError):
    status = 503
    title = "Temporarily unavailable"


class DeadlineExceeded(GroundplanError):
    status = 504
    title = "The deadline passed"


class OutsideCallFailed(GroundplanError):
    status = 502
    title = "A service we depend on did not answer"


class OutsideCallRefused(GroundplanError):
    status = 502
    title = "A service we depend on refused"
    retryable = False


class PeerUnavailable(OutsideCallFailed):
    status = 503
    title = "A service we depend on is not called for now"


class PeerBusy(OutsideCallRefused):
    status = 503
    title = "A service we depend on has too many calls"
    retryable = True


class LeaseLost(GroundplanError):
    title = "The lease of this delivery is held by another worker"
    retryable = False


class Snooze(GroundplanError):
    """Raised by a handler that has nothing to do yet; the attempt is not counted."""

    status = 503
    title = "Not yet"

    def __init__(self, seconds: float, detail: str = "") -> None:
        super().__init__(detail, retry_after=seconds)


class Cancel(GroundplanError):
    """Raised by a handler whose message has become pointless: it ends without effect and without a dead letter."""

    title = "Cancelled"
    retryable = False


class Misuse(GroundplanError):
    title = "A rule of the platform was broken"
    retryable = False


class TransactionOpen(Misuse):
    title = "A transaction is open"


class TransactionMissing(Misuse):
    title = "No transaction is open"


class TenantMissing(Misuse):
    title = "No tenant is known"


class ConfigurationError(GroundplanError):
    title = "The configuration is not valid"
    retryable = False
