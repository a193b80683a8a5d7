"""The worker: claims deliveries, runs their handlers, finishes or postpones them."""
