"""Floor 6: the backend box: web pages, API, worker, and the server that runs them."""
