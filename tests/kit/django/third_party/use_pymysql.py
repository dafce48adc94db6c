"""PyMySQL under the name of MySQLdb, as its manual says; a bootstrap module for engines made for mysqlclient."""

import pymysql

pymysql.install_as_MySQLdb()
