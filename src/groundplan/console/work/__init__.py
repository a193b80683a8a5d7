"""What is on its way: the queue, its switches, and the events that were published."""
