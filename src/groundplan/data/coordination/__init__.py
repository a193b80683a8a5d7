"""What processes agree on: rate limits, locks and counters. The port, its adapters, and what holds in an outage."""
