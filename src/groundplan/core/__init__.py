"""Floor 0: what every other room may lean on. Errors, clock, ids, request context, retry policy, redaction."""
