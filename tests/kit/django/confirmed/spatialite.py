"""What the kit finds in Django's spatialite, shown by Django alone: the option ``timeout`` has no effect."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

for name in ("pysqlite3", "pysqlite3.dbapi2"):  # not every Python's own loads extensions
    sys.modules[name.replace("pysqlite3", "sqlite3")] = import_module(name)

from django.conf import settings  # noqa: E402 - it imports sqlite3


def engine(name: str) -> dict[str, Any]:
    return {"ENGINE": name, "NAME": ":memory:", "OPTIONS": {"timeout": 1}}


settings.configure(
    DATABASES={
        "default": engine("django.contrib.gis.db.backends.spatialite"),
        "plain": engine("django.db.backends.sqlite3"),
    }
)

import django  # noqa: E402

django.setup()

from django.db import connections  # noqa: E402

for alias in ("plain", "default"):
    with connections[alias].cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        print(f"{alias}: {cursor.fetchone()[0]} ms")
