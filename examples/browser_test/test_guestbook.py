"""A browser test on the test's own database in memory.

The page is served in other threads and reads what this thread wrote, committed or not: ``live_server`` lends them the
test's own connection. Nothing is cleaned up afterwards, since nothing was ever anywhere else.

    make services && .venv/bin/python -m pytest examples/browser_test
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backend_sdk import connection, live_server, scope
from examples.browser_test import browser
from examples.browser_test.guestbook import guestbook


@pytest.fixture(name="chromium")
def find_chromium() -> str:
    found = browser.find()
    if found is None:
        pytest.skip("no headless browser is installed; make services installs one")
    return found


@pytest.fixture(autouse=True)
def database() -> Iterator[None]:
    """A database in memory, for this test alone."""
    with scope({"default": "sqlite://:memory:"}):
        connection.cursor().execute("CREATE TABLE guest (name TEXT)")
        yield


def sign(name: str) -> None:
    connection.cursor().execute("INSERT INTO guest VALUES (?)", (name,))


def test_the_page_shows_what_the_test_wrote(chromium: str) -> None:
    sign("Ann")
    with live_server(guestbook) as url:
        assert "<li>Ann</li>" in browser.read(chromium, url)


def test_the_page_shows_what_is_not_committed_yet(chromium: str) -> None:
    sign("Ann")
    with live_server(guestbook) as url, connection.atomic():
        sign("Bob")
        assert "<li>Ann</li><li>Bob</li>" in browser.read(chromium, url)


def test_a_page_on_a_connection_of_its_own_shows_nothing(chromium: str) -> None:
    """The others can fail: without sharing, each thread has a database in memory of its own."""
    sign("Ann")
    with live_server(guestbook, share=()) as url:
        assert "<li>" not in browser.read(chromium, url)
