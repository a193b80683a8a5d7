"""Fills an empty database with three stores: their people, their shelves, and three months of past orders."""

from shop.seed.seed import SeedReport, seed
from shop.seed.stores import DEMO_PASSWORD, STORES, Account, Store, demo_accounts

__all__ = ["DEMO_PASSWORD", "STORES", "Account", "SeedReport", "Store", "demo_accounts", "seed"]
