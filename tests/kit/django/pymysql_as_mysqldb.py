"""A bootstrap module: PyMySQL in the place of mysqlclient, which is what Django's mysql imports."""

from __future__ import annotations

import pymysql

pymysql.install_as_MySQLdb()
