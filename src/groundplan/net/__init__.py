"""Floor 2: the one way out: calls to other services."""
