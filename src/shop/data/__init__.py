"""Real products and baskets of three grocery stores, and what makes them readable. Origin and licence: README.md."""
