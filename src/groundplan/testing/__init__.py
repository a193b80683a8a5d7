"""What tests lean on: real servers, a real browser, and suites that every adapter of a port must pass."""
