"""The header fields RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10), which are RFC 9651 lists.

They name no partition key: a caller knows who it is, and others need not.
"""

import math
from collections.abc import Mapping

from groundplan.app.rate_limit import Policy
from groundplan.data.coordination.port import Decision


def limit_headers(limits: Mapping[Policy, Decision]) -> list[tuple[bytes, bytes]]:
    """Of the limits that were asked: what they are, and how they stand."""
    said, stand = [], []
    for policy, (_, limit, remaining, reset) in limits.items():
        said.append(policy.said if limit == policy.quota.limit else policy.said_with(limit))
        stand.append(b"%s;r=%d;t=%d" % (policy.item, remaining, math.ceil(reset)))
    return [(b"ratelimit-policy", b", ".join(said)), (b"ratelimit", b", ".join(stand))]
