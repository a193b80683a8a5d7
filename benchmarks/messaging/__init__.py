"""What messaging costs, beside what a user would pick instead: `make bench-messaging`."""
