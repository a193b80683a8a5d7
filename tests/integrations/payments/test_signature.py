"""Signatures of callbacks, against the published example of Standard Webhooks and against forgers."""

import base64
from datetime import UTC, datetime

import pytest

from groundplan.core.errors import Unauthenticated
from groundplan.integrations.payments.signature import Signature

KEY = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
BODY = b'{"test": 2432232314}'
PUBLISHED = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


class Then:
    """The clock at the moment of the published example, give or take."""

    def __init__(self) -> None:
        self.seconds = 1614265330.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Then:
    return Then()


@pytest.fixture
def signature(clock: Then) -> Signature:
    return Signature(KEY, clock)


def test_it_signs_as_the_standard_says(signature: Signature) -> None:
    assert signature.sign(PUBLISHED["webhook-id"], BODY) == PUBLISHED


def test_it_takes_what_the_standard_signed(signature: Signature) -> None:
    assert signature.verify(PUBLISHED, BODY) == PUBLISHED["webhook-id"]


def test_one_right_signature_among_several_is_enough(signature: Signature) -> None:
    """As while keys are rotated."""
    right = PUBLISHED["webhook-signature"]
    for several in (f"v1,AAAA {right}", f"{right} v1a,xyz", f"v1,é {right}"):
        assert signature.verify(PUBLISHED | {"webhook-signature": several}, BODY)


@pytest.mark.parametrize("seconds", [-300, -1, 0, 300])
def test_five_minutes_either_way(signature: Signature, clock: Then, seconds: int) -> None:
    clock.seconds += seconds
    assert signature.verify(PUBLISHED, BODY)


@pytest.mark.parametrize("seconds", [-301, 301, 1_000_000])
def test_and_no_more(signature: Signature, clock: Then, seconds: int) -> None:
    clock.seconds += seconds
    with pytest.raises(Unauthenticated, match="5 minutes"):
        signature.verify(PUBLISHED, BODY)


@pytest.mark.parametrize(
    "wrong",
    [
        {"webhook-id": ""},
        {"webhook-id": "msg_other"},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "1614265331"},
        {"webhook-timestamp": "01614265330"},
        {"webhook-timestamp": "1614265330.0"},
        {"webhook-timestamp": "-1614265330"},
        {"webhook-timestamp": "١٦١٤٢٦٥٣٣٠"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-signature": ""},
        {"webhook-signature": "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {"webhook-signature": "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {"webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF="},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "\ud800"},
    ],
)
def test_what_is_refused(signature: Signature, wrong: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated):
        signature.verify(PUBLISHED | wrong, BODY)


def test_another_key_is_refused(clock: Then) -> None:
    with pytest.raises(Unauthenticated):
        Signature(b"other", clock).verify(PUBLISHED, BODY)
