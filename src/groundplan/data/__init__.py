"""Floor 2: the data box: database, cache, objects."""
