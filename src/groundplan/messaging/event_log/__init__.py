"""The append-only log of events: read in commit order, replayed to a handler, kept for a time, erased for a person."""
