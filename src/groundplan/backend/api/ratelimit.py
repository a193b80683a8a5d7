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
    for policy, decision in limits.items():
        normal = decision.limit == policy.quota.limit
        said.append(policy.said if normal else f'"{policy.name}";q={decision.limit};w={policy.quota.window:.0f}')
        stand.append(f'"{policy.name}";r={decision.remaining};t={math.ceil(decision.reset)}')
    return [(b"ratelimit-policy", ", ".join(said).encode()), (b"ratelimit", ", ".join(stand).encode())]
