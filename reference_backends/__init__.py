"""Backends for real databases, made to be subclassed. Import the one you need: ``reference_backends.sqlite3``."""
