"""Database URLs: what each part becomes, and that a malformed one is refused without a word of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backend_sdk import ImproperlyConfigured, make_backend, parse_url
from reference_backends.sqlite3 import SQLiteSettings
from tests.core.settings_support import SECRET, refusal, told_by

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1)


@pytest.mark.parametrize(
    ("url", "mapping"),
    [
        ("sqlite:///relative.db", {"ENGINE": "sqlite", "NAME": "relative.db"}),
        ("sqlite:////absolute.db", {"ENGINE": "sqlite", "NAME": "/absolute.db"}),
        ("sqlite://:memory:", {"ENGINE": "sqlite", "NAME": ":memory:"}),
        ("sqlite:///:memory:", {"ENGINE": "sqlite", "NAME": ":memory:"}),
        ("sqlite:///a%20b/c?d.db", None),
        ("sqlite:///a b/c%3Fd#e@f.db", {"ENGINE": "sqlite", "NAME": "a b/c?d#e@f.db"}),
        ("sqlite:////data/me@work/a.db", {"ENGINE": "sqlite", "NAME": "/data/me@work/a.db"}),
        ("sqlite:///C:/data/a.db", {"ENGINE": "sqlite", "NAME": "C:/data/a.db"}),
        ("sqlite:///file:a.db?timeout=3", {"ENGINE": "sqlite", "NAME": "file:a.db", "OPTIONS": {"timeout": "3"}}),
        (
            "postgresql://user:p%40ss@h1:1,h2:2/db?sslmode=require",
            {"ENGINE": "postgresql", "USER": "user", "PASSWORD": "p@ss", "HOST": "h1,h2", "PORT": (1, 2), "NAME": "db",
             "OPTIONS": {"sslmode": "require"}},
        ),
        ("pg://h/db", {"ENGINE": "pg", "HOST": "h", "NAME": "db"}),
        ("pg://h", {"ENGINE": "pg", "HOST": "h", "NAME": ""}),
        ("pg://h:5432", {"ENGINE": "pg", "HOST": "h", "PORT": 5432, "NAME": ""}),
        ("pg://h:/db", {"ENGINE": "pg", "HOST": "h", "NAME": "db"}),
        ("pg://u@h/db", {"ENGINE": "pg", "USER": "u", "HOST": "h", "NAME": "db"}),
        ("pg://u:@h/db", {"ENGINE": "pg", "USER": "u", "PASSWORD": "", "HOST": "h", "NAME": "db"}),
        ("pg://u:p@/db", {"ENGINE": "pg", "USER": "u", "PASSWORD": "p", "NAME": "db"}),
        ("pg://u:a:b@c@h/db", {"ENGINE": "pg", "USER": "u", "PASSWORD": "a:b@c", "HOST": "h", "NAME": "db"}),
        ("pg://u:a[b]c#d@h/db", {"ENGINE": "pg", "USER": "u", "PASSWORD": "a[b]c#d", "HOST": "h", "NAME": "db"}),
        ("pg://u%3Av:p%2Fq%3F@/d%40b", {"ENGINE": "pg", "USER": "u:v", "PASSWORD": "p/q?", "NAME": "d@b"}),
        ("pg://[::1]:5432/db", {"ENGINE": "pg", "HOST": "::1", "PORT": 5432, "NAME": "db"}),
        ("pg://h:1,[::1]:2,[fe80::1%25eth0]:3/db",
         {"ENGINE": "pg", "HOST": "h,::1,fe80::1%eth0", "PORT": (1, 2, 3), "NAME": "db"}),
        ("pg://h1,h2/db", {"ENGINE": "pg", "HOST": "h1,h2", "NAME": "db"}),
        ("pg://h1,h2/db?PORT=7", {"ENGINE": "pg", "HOST": "h1,h2", "PORT": "7", "NAME": "db"}),
        ("pg://%2Frun%2Fpg/db", {"ENGINE": "pg", "HOST": "/run/pg", "NAME": "db"}),
        ("PG+x-y.z://H/DB", {"ENGINE": "pg+x-y.z", "HOST": "H", "NAME": "DB"}),
        ("pg://h/db?a=&b=x%3D1%26", {"ENGINE": "pg", "HOST": "h", "NAME": "db", "OPTIONS": {"a": "", "b": "x=1&"}}),
        ("pg://h/db?CONN_MAX_AGE=60&sslmode=x",
         {"ENGINE": "pg", "HOST": "h", "NAME": "db", "CONN_MAX_AGE": "60", "OPTIONS": {"sslmode": "x"}}),
        ("pg://?NAME=db&USER=u", {"ENGINE": "pg", "NAME": "db", "USER": "u"}),
        ("pg://h/db?", {"ENGINE": "pg", "HOST": "h", "NAME": "db"}),
        ("  pg://h/db\n", {"ENGINE": "pg", "HOST": "h", "NAME": "db"}),
    ],
)  # fmt: skip
def test_each_part_of_a_url_has_its_key(url: str, mapping: dict[str, Any] | None) -> None:
    if mapping is None:
        refusal(lambda: parse_url(url))
    else:
        assert parse_url(url) == mapping


@given(user=TEXT, password=TEXT, host=TEXT, name=TEXT, option=TEXT, value=TEXT)
@example(user="ü:@/", password="100% [x]?#&=+", host="a,b", name="%2F", option="a=b", value="c&d+e f")
def test_whatever_is_percent_encoded_comes_out_as_it_went_in(
    user: str, password: str, host: str, name: str, option: str, value: str
) -> None:
    parts = [quote(text, safe="") for text in (user, password, host, name)]
    key = "x" + option  # lower case: an option
    url = "pg://{}:{}@{}:1/{}?".format(*parts) + f"{quote(key, safe='')}={quote(value, safe='')}"
    assert parse_url(url) == {
        "ENGINE": "pg", "USER": user, "PASSWORD": password, "HOST": host, "PORT": 1, "NAME": name,
        "OPTIONS": {key: value},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", "starts with a scheme"),
        (SECRET, "starts with a scheme"),
        (f"u:{SECRET}@h/db", "starts with a scheme"),
        (f"pg:/u:{SECRET}@h/db", "starts with a scheme"),
        (f"://u:{SECRET}@h/db", "starts with a scheme"),
        (f"1pg://u:{SECRET}@h/db", "starts with a scheme"),
        (f"pg://u:{SECRET}\t@h/db", "one line"),
        (f"pg://u:{SECRET}@h/db\nx", "one line"),
        (f"pg://u:x\x00{SECRET}@h/db", "one line"),
        (f"pg://u:{SECRET}@h:{SECRET}/db", "port in the database URL is not a number from 1 to 65535"),
        (f"pg://u:{SECRET}@h:0/db", "port in the database URL is not a number from 1 to 65535"),
        (f"pg://u:{SECRET}@h:65536/db", "port in the database URL is not a number from 1 to 65535"),
        (f"pg://u:{SECRET}@h:-1/db", "port in the database URL is not a number from 1 to 65535"),
        (f"pg://u:{SECRET}@h:{'9' * 5000}/db", "port in the database URL is not a number from 1 to 65535"),
        (f"pg://u:{SECRET}@h:\u0663/db", "port in the database URL is not a number from 1 to 65535"),
        (f"pg://u:{SECRET}@h1:1,h2/db", "ports for some hosts only; give one for each, or ?PORT= for all"),
        (f"pg://u:{SECRET}@h1,h2:2/db", "ports for some hosts only; give one for each, or ?PORT= for all"),
        (f"pg://u:{SECRET}@[::1/db", "malformed host"),
        (f"pg://u:{SECRET}@[::1]x/db", "malformed host"),
        (f"pg://u:{SECRET}@[]:1/db", "malformed host"),
        (f"pg://u:{SECRET}@::1/db", "port in the database URL"),
        # A password that was not encoded: what follows the '/' or '?' would be taken for something to show.
        (f"pg://u:12/{SECRET}@h/db", "'@' after the host; write it as %40"),
        (f"pg://u:12?{SECRET}@h/db", "'@' after the host; write it as %40"),
        (f"pg://u:12?{SECRET}=1@h/db", "'@' after the host; write it as %40"),
        (f"pg://u:a@b?{SECRET}=x@h/db", "'@' after the host; write it as %40"),
        (f"pg://u:{SECRET}%ff@h/db", "malformed database URL"),
        (f"pg://u@h/db?password={SECRET}%ff", "malformed database URL"),
        (f"pg://u@h/{SECRET}%ff", "malformed database URL"),
        (f"pg://u@h/db?{SECRET}", "malformed database URL"),
        (f"pg://u@h/db?a={SECRET}&", "malformed database URL"),
        (f"pg://u@h/db?a={SECRET}&a=2", "gives a more than once"),
        (f"pg://u@h/db?A_B={SECRET}&A_B=2", "gives A_B more than once"),
        (f"pg://u:{SECRET}@h/db?PASSWORD=x&USER=y", "gives PASSWORD, USER more than once"),
        (f"pg://u:{SECRET}@h/db?NAME=x", "gives NAME more than once"),
        (f"pg://u:{SECRET}@h/db?ENGINE=x", "gives ENGINE more than once"),
        (f"pg://u:{SECRET}@h:1/db?PORT=2", "gives PORT more than once"),
        (f"pg://u:{SECRET}@h/db?OPTIONS=x&a=1", "give each option as one of its own"),
        (f"sqlite://:memory:/{SECRET}", "port in the database URL"),
    ],
)  # fmt: skip
def test_a_malformed_url_is_refused_and_never_repeated(url: str, text: str) -> None:
    told = refusal(lambda: parse_url(url))
    assert text in told
    assert told.endswith(
        "; write it as scheme://user:password@host:port/name?option=value, special characters percent-encoded"
    )


@given(st.text(alphabet="pg:/@?#[]%,.=&12\t\u2100\uff0f ").map(lambda text: text + SECRET) | TEXT)
@example(f"pg://u:{SECRET}\u2100@h/db")
@example(f"pg://{SECRET}[@h/db")
def test_no_url_at_all_raises_anything_else_or_is_repeated(url: str) -> None:
    told = ""
    try:
        parse_url(url)
    except ImproperlyConfigured as error:
        told = told_by(error)
    assert SECRET not in told


def test_the_alias_is_named_where_one_is_given() -> None:
    assert refusal(lambda: parse_url("nonsense")).startswith("a database URL is one line")
    assert refusal(lambda: parse_url("nonsense", alias="reports")).startswith("settings of 'reports': a database URL")
    assert refusal(lambda: SQLiteSettings.from_url("nonsense", alias="reports")).startswith("settings of 'reports': ")
    assert refusal(lambda: make_backend("nonsense", alias="reports")).startswith("settings of 'reports': ")


def test_parameters_in_upper_case_are_settings_and_the_others_options() -> None:
    settings = SQLiteSettings.from_url("sqlite:///a.db?timeout=3&foreign_keys=off&CONN_MAX_AGE=none&AUTOCOMMIT=false")
    assert (settings.options.timeout, settings.options.foreign_keys) == (3.0, False)
    assert (settings.conn_max_age, settings.autocommit, settings.name) == (None, False, "a.db")
