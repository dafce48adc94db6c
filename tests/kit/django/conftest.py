"""The fixtures that start servers."""

from tests.servers.fixtures import mysql_url as mysql_url
from tests.servers.fixtures import postgresql_url as postgresql_url
