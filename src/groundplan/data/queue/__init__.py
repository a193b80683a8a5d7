"""Brokers: message engines that may hand deliveries to workers in the database's stead."""
