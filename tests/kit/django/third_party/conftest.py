"""The servers that the engines are tried on."""

from tests.servers.fixtures import mysql_url, postgresql_url

__all__ = ["mysql_url", "postgresql_url"]
