"""The cache port, its adapters, and the read-through layer that business code sees."""
