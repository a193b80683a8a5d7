"""Who is measured: one module each, run by the Python of its own environment, as `fill` and then as `work`."""
