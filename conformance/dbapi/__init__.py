"""PEP 249 modules as targets: ``dbapi:sqlite3``, ``dbapi:duckdb -o database={workdir}/x.duckdb``."""
