"""Floor 3: the services of others: payments, mail, analytics. A port, its adapters, and one suite for all of them."""
