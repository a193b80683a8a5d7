"""The API as others see it: its problems, its description, and how another role of ours calls it."""
