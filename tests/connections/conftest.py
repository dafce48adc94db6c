"""The fixture that starts PostgreSQL servers, for the routing between a primary and its standby."""

from tests.servers.fixtures import make_postgresql as make_postgresql
