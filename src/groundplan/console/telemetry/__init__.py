"""The telemetry store: what every process says of itself, bounded, in a file of its own, and how it is read."""
