"""Run the scripts in ``confirm/``: two fresh databases, the engine or Django's own in its place."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pymysql

from backend_sdk import parse_url

from .engines import ROOT, Engine

__all__ = ["confirmed"]

OPTIONS = {"postgresql": {"application_name": "confirm"}, "mysql": {"connect_timeout": 5}, "": {"timeout": 5}}
"""For Django's own engine, which would refuse the other one's."""


def confirmed(engine: Engine, url: str, folder: Path, *, stock: bool) -> dict[str, str]:
    """By finding, what the engine's script saw; a dash for nothing. *stock*: of Django's own engine instead."""
    with _databases(engine, url, folder) as names:
        file = folder / "settings.json"
        file.write_text(json.dumps(_settings(engine, url, names, stock=stock)))
        done = subprocess.run(
            [str(engine.python), "-m", f"tests.kit.django.third_party.confirm.{engine.name}", str(file)],
            cwd=ROOT, check=False, capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


def _settings(engine: Engine, url: str, names: Mapping[str, str], *, stock: bool) -> dict[str, Any]:
    server = {key: value for key, value in parse_url(url).items() if key != "ENGINE"} if url else {}
    own: Mapping[str, Any] = {**engine.database, "OPTIONS": OPTIONS[engine.server]} if stock else engine.database
    return {
        "engine": engine.stock if stock else engine.target,
        "server": engine.server,
        "databases": {alias: {**server, **own, "NAME": name} for alias, name in names.items()},
        "settings": engine.settings,
    }


@contextmanager
def _databases(engine: Engine, url: str, folder: Path) -> Iterator[Mapping[str, str]]:
    """The names of two new databases, by alias."""
    tag = secrets.token_hex(4)
    if not engine.server:
        yield {alias: str(folder / f"{alias}_{tag}.sqlite3") for alias in ("default", "other")}
        return
    names = {alias: f"confirm_{alias}_{tag}" for alias in ("default", "other")}
    force = " WITH (FORCE)" if engine.server == "postgresql" else ""
    try:
        _administer(engine.server, url, [f"CREATE DATABASE {name}" for name in names.values()])
        yield names
    finally:
        _administer(engine.server, url, [f"DROP DATABASE IF EXISTS {name}{force}" for name in names.values()])


def _administer(server: str, url: str, statements: list[str]) -> None:
    given = {key: str(value) for key, value in parse_url(url).items()}
    host, port, user, password = given["HOST"], int(given["PORT"]), given["USER"], given["PASSWORD"]
    connection: Any
    if server == "postgresql":
        connection = psycopg.connect(
            host=host, port=port, user=user, password=password, dbname=given["NAME"], autocommit=True
        )
    else:
        connection = pymysql.connect(host=host, port=port, user=user, password=password, autocommit=True)
    with closing(connection), closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)
