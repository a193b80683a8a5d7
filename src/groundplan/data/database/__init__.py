"""The system of record: engines, units of work, tenancy, migrations. Everything in data/ may build on this room."""
