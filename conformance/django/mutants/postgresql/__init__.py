"""Wrong engines on PostgreSQL, for what SQLite cannot show: ``selftest --profile django-postgresql``."""
