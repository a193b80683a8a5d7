"""Text search: an index of documents in the application's database, kept by handlers, off the path of requests."""
