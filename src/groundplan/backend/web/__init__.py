"""Server-rendered pages, static files, and how an error looks to a person."""
