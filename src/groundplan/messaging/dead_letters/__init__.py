"""Messages that gave up: one, and many at once."""
