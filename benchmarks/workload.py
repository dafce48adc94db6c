"""The statements and the table that every contender works on, so that all do the same work.

The table lives in memory, where the driver is cheapest and whatever is laid over it shows most, unless a
row says that it is on a file. Its rows are as business tables have them: eight columns of
four types (integers, text, a float, a blob), a NULL now and then, about 120 bytes.
"""

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

MEMORY = ":memory:"
ROWS = 1000
SELECT_ONE = "SELECT 1"
SELECT_ITEMS = "SELECT id, code, title, price, stock, active, added, picture FROM item ORDER BY id"
DUPLICATE = "INSERT INTO item (id) VALUES (1)"

CREATE_ITEMS = """
    CREATE TABLE item (
        id INTEGER PRIMARY KEY, code TEXT, title TEXT, price REAL,
        stock INTEGER, active INTEGER, added TEXT, picture BLOB
    )
"""
FILL_ITEMS = f"""
    WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {ROWS})
    INSERT INTO item
    SELECT n, 'SKU-' || n, CASE WHEN n % 7 THEN 'A title of the usual length, number ' || n END, n * 1.25,
           n * 7, n % 2, '2024-01-31 10:30:00', CAST('0123456789abcdef0123456789abcdef' AS BLOB)
    FROM number
"""
LAST_ITEM = (
    ROWS, f"SKU-{ROWS}", f"A title of the usual length, number {ROWS}", ROWS * 1.25,
    ROWS * 7, ROWS % 2, "2024-01-31 10:30:00", b"0123456789abcdef0123456789abcdef",
)  # fmt: skip


@contextmanager
def database_file() -> Iterator[str]:
    """The path of a database that is not there yet."""
    with tempfile.TemporaryDirectory() as folder:
        yield str(Path(folder, "benchmark.sqlite3"))


def place(*, on_file: bool) -> AbstractContextManager[str]:
    """Where a session finds its database."""
    return database_file() if on_file else nullcontext(MEMORY)
