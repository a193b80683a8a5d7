"""Proof under failure: real processes and servers, killed, frozen and starved; then every message is counted."""
