"""What a request costs, beside what a user would pick instead: `make bench-http`."""
