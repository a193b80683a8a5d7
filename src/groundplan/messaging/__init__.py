"""Floor 4: events, jobs, the outbox that writes them, the deliveries that workers lease, the dead letters."""
