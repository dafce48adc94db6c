"""The fixtures that start servers, for the backends that need one."""

from tests.servers.fixtures import make_mysql as make_mysql
from tests.servers.fixtures import make_pgbouncer as make_pgbouncer
from tests.servers.fixtures import make_postgresql as make_postgresql
from tests.servers.fixtures import mysql_url as mysql_url
from tests.servers.fixtures import postgresql_url as postgresql_url
