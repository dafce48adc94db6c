"""The fixtures that start servers."""

from tests.servers.fixtures import make_mysql as make_mysql
from tests.servers.fixtures import make_pgbouncer as make_pgbouncer
from tests.servers.fixtures import make_postgresql as make_postgresql
