"""The parts of `reference_backends.sqlite3`."""
