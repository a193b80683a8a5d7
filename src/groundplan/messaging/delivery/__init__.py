"""Deliveries on their way: claimed, leased, handed off to a broker, ended; and how their queues stand."""
