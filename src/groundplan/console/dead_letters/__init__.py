"""Dead letters in the console: one and many, over the API and as pages."""
