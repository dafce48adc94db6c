"""Settings: their three forms, what is refused and how, frozen through and through, secrets, the fingerprint."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretBytes, SecretStr, TypeAdapter, field_validator, model_validator

from backend_sdk import ConnectionSettings, CredentialSource, FrozenDict, ImproperlyConfigured, Options
from backend_sdk.errors import scrub
from reference_backends.sqlite3 import SQLiteOptions, SQLiteSettings
from tests.core.settings_support import SECRET, refusal


class Tls(Options, frozen=True):
    ca: str = ""
    key_password: SecretStr = SecretStr("")


class MyOptions(Options, frozen=True):
    timeout: float = 5.0
    mode: Literal["fast", "safe"] = "safe"
    token: SecretStr = SecretStr("")
    seal: SecretBytes = SecretBytes(b"")
    tls: Tls | None = None
    tags: Mapping[str, object] = FrozenDict()
    hosts: list[str] = ["localhost"]  # noqa: RUF012 - the test is what becomes of it
    hook: Callable[..., object] | None = None


class MySettings(ConnectionSettings, frozen=True):
    engine: str = "mine"
    options: MyOptions = MyOptions()


class OpenOptions(Options, frozen=True, extra="allow"):
    """Takes what it does not know, as a driver with a hundred options may."""


class OpenSettings(ConnectionSettings, frozen=True, extra="allow"):
    options: OpenOptions = OpenOptions()


MAPPING: dict[str, object] = {
    "ENGINE": "mine",
    "NAME": "app",
    "USER": "web",
    "PASSWORD": SECRET,
    "HOST": "db.example",
    "PORT": "5432",
    "OPTIONS": {"timeout": 3, "mode": "fast"},
    "AUTOCOMMIT": False,
    "CONN_MAX_AGE": 60,
    "CONN_HEALTH_CHECKS": True,
    "TIME_ZONE": "UTC",
    "ATOMIC_REQUESTS": True,
    "MODELS": ["blog.*"],
    "TEST": {"NAME": "test_app"},
}
KEYWORDS: dict[str, Any] = {
    "name": "app",
    "user": "web",
    "password": SecretStr(SECRET),
    "host": "db.example",
    "port": 5432,
    "options": MyOptions(timeout=3.0, mode="fast"),
    "autocommit": False,
    "conn_max_age": 60.0,
    "conn_health_checks": True,
    "time_zone": "UTC",
    "atomic_requests": True,
    "models": ("blog.*",),
    "test": FrozenDict({"NAME": "test_app"}),
}
URL = (
    f"mine://web:{SECRET}@db.example:5432/app?timeout=3&mode=fast&AUTOCOMMIT=false&CONN_MAX_AGE=60"
    "&CONN_HEALTH_CHECKS=true&TIME_ZONE=UTC&ATOMIC_REQUESTS=on&MODELS=blog.*"
)


class TestForms:
    @pytest.mark.parametrize("key", MAPPING)
    def test_each_key_of_the_mapping_reaches_its_field(self, key: str) -> None:
        settings = MySettings.from_mapping({key: MAPPING[key]})
        expected = {"engine": "mine", **KEYWORDS}[key.lower()]
        assert getattr(settings, key.lower()) == expected
        assert settings == MySettings(**{key.lower(): expected})

    def test_mapping_url_and_keywords_make_equal_settings(self) -> None:
        from_keywords = MySettings(**KEYWORDS)
        assert MySettings.from_mapping(MAPPING) == from_keywords
        assert MySettings.from_url(URL, test={"NAME": "test_app"}) == from_keywords
        assert MySettings.from_mapping(MAPPING).fingerprint == from_keywords.fingerprint

    def test_fields_given_beside_a_url_win(self) -> None:
        assert MySettings.from_url("mine://h/app", name="other", conn_max_age=None).name == "other"

    @pytest.mark.parametrize(
        ("given", "port"),
        [("", None), (None, None), ("5432", 5432), ("1,2", (1, 2)), ([1, "2"], (1, 2)), (65535, 65535)],
    )
    def test_ports_may_be_text_several_or_none(self, given: object, port: object) -> None:
        assert MySettings.from_mapping({"PORT": given}).port == port

    @pytest.mark.parametrize("port", [0, -1, 65536, "70000", [1, 0], "1,99999"])
    def test_a_port_outside_the_range_is_refused(self, port: object) -> None:
        assert refusal(lambda: MySettings.from_mapping({"PORT": port}, alias="a")) == (
            "settings of 'a': PORT: not a number from 1 to 65535"
        )

    @pytest.mark.parametrize(("given", "age"), [(None, None), ("None", None), ("none", None), ("0", 0.0), (9.5, 9.5)])
    def test_a_url_can_say_that_connections_never_age(self, given: object, age: float | None) -> None:
        assert MySettings.from_mapping({"CONN_MAX_AGE": given}).conn_max_age == age

    def test_a_path_is_a_name(self) -> None:
        assert MySettings(name=Path("data") / "a.db").name == "data/a.db"  # type: ignore[arg-type]  # text is the declared form

    def test_a_directory_entry_is_its_path(self, tmp_path: Path) -> None:
        (tmp_path / "a.db").touch()
        with os.scandir(tmp_path) as entries:
            (entry,) = entries
        assert MySettings.from_mapping({"NAME": entry}).name == str(tmp_path / "a.db")

    def test_one_model_pattern_needs_no_list(self) -> None:
        assert MySettings.from_mapping({"MODELS": "blog.*"}).models == ("blog.*",)

    def test_keys_of_a_subclass_are_in_the_mapping_too(self) -> None:
        class Sharded(MySettings, frozen=True):
            shard_count: int = 1

        assert Sharded.from_mapping({"SHARD_COUNT": "4"}).shard_count == 4

    def test_defaults_are_those_of_django_where_it_has_them(self) -> None:
        settings = ConnectionSettings()
        assert (settings.autocommit, settings.conn_max_age, settings.conn_health_checks) == (True, 0, False)
        assert (settings.atomic_requests, settings.time_zone, settings.port) == (False, None, None)


class TestRefusals:
    @pytest.mark.parametrize(
        ("build", "text"),
        [
            (lambda: MySettings.from_mapping({"PASWORD": SECRET}, alias="reports"),
             "settings of 'reports': unknown key 'PASWORD'; did you mean 'PASSWORD'?"),
            (lambda: MySettings.from_mapping({"HOTS": "h"}),
             "settings of 'default': unknown key 'HOTS'; did you mean 'HOST'?"),
            (lambda: MySettings.from_mapping({"pasword": SECRET}),
             "settings of 'default': unknown key 'pasword'; did you mean 'PASSWORD'?"),
            (lambda: MySettings.from_mapping({"NMAE": "", "PRT": ""}, alias="a"),
             "settings of 'a': unknown key 'NMAE'; did you mean 'NAME'?; unknown key 'PRT'; did you mean 'PORT'?"),
            (lambda: MySettings.from_mapping({"OPTIONS": {"tiemout": 3}}, alias="a"),
             "settings of 'a': unknown key 'OPTIONS.tiemout'; did you mean 'timeout'?"),
            (lambda: MySettings.from_mapping({"OPTIONS": {"tls": {"key_pasword": SECRET}}}, alias="a"),
             "settings of 'a': unknown key 'OPTIONS.tls.key_pasword'; did you mean 'key_password'?"),
            (lambda: MySettings.from_url(f"mine://u:{SECRET}@h/db?CONN_MAXAGE=1", alias="a"),
             "settings of 'a': unknown key 'CONN_MAXAGE'; did you mean 'CONN_MAX_AGE'?"),
            (lambda: MySettings.from_url(f"mine://u:{SECRET}@h/db?tokn={SECRET}"),
             "settings of 'default': unknown key 'OPTIONS.tokn'; did you mean 'token'?"),
            (lambda: MySettings(hots=SECRET),  # type: ignore[call-arg]  # a wrong name: that is the test
             "settings of 'MySettings': unknown key 'hots'; did you mean 'host'?"),
            (lambda: MyOptions(tiemout=SECRET),  # type: ignore[call-arg]  # a wrong name: that is the test
             "settings of 'MyOptions': unknown key 'tiemout'; did you mean 'timeout'?"),
            (lambda: MySettings().derive(nmae=SECRET),
             "settings of 'MySettings': unknown key 'nmae'; did you mean 'name'?"),
            (lambda: MySettings().derive(options={"tokn": SECRET}),
             "settings of 'MySettings': unknown key 'options.tokn'; did you mean 'token'?"),
            (lambda: ConnectionSettings.from_mapping({"OPTIONS": {"token": SECRET}}),
             "settings of 'default': unknown key 'OPTIONS.token'; none is taken here"),
        ],
    )  # fmt: skip
    def test_an_unknown_key_is_refused_with_the_nearest_right_one(self, build: Callable[[], object], text: str) -> None:
        assert refusal(build) == text

    def test_a_key_like_no_other_is_refused_with_all_that_there_are(self) -> None:
        text = refusal(lambda: MySettings.from_mapping({"X": 1, 7: 2}))  # type: ignore[dict-item]  # a key that is no text
        assert "unknown key 'X'; known: ALLOW_BLOCKING, ATOMIC_REQUESTS" in text
        assert "unknown key 7; known:" in text

    @pytest.mark.parametrize(
        ("build", "text"),
        [
            (lambda: MySettings.from_mapping({"PORT": SECRET}), "PORT: input should be a valid integer"),
            (lambda: MySettings.from_mapping({"NAME": [SECRET]}), "NAME: input should be a valid string"),
            (lambda: MySettings.from_mapping({"PASSWORD": [SECRET]}), "PASSWORD: input should be a valid string"),
            (lambda: MySettings.from_mapping({"PASSWORD": None}), "PASSWORD: input should be a valid string"),
            (lambda: MySettings.from_mapping({"PASSWORD": {"name": SECRET, "fetch": print}}), "CredentialSource"),
            (lambda: MySettings.from_mapping({"OPTIONS": f"token={SECRET}"}), "OPTIONS: input should be a valid dict"),
            (lambda: MySettings.from_mapping({"OPTIONS": {"token": [SECRET]}}), "OPTIONS.token: input should be a"),
            (lambda: MySettings.from_mapping({"OPTIONS": {"timeout": SECRET}}), "OPTIONS.timeout: input should be a"),
            (lambda: MySettings.from_mapping({"OPTIONS": {"mode": SECRET}}), "OPTIONS.mode: input should be 'fast' or"),
            (lambda: MySettings.from_mapping({"OPTIONS": {"tls": {"key_password": 7}}}), "OPTIONS.tls.key_password:"),
            (lambda: MySettings.from_mapping({"AUTOCOMMIT": SECRET}), "AUTOCOMMIT: input should be a valid boolean"),
            (lambda: MySettings.from_mapping({"CONN_MAX_AGE": -1}), "CONN_MAX_AGE: input should be greater than or"),
            (lambda: MySettings.from_mapping({"TEST": SECRET}), "TEST: input should be a valid"),
            (lambda: MySettings(port=SECRET), "port: input should be"),  # type: ignore[arg-type]  # wrong on purpose
            (lambda: MyOptions(timeout=SECRET), "timeout: input should be"),  # type: ignore[arg-type]  # wrong on purpose
            (lambda: MySettings().derive(port=SECRET), "port: input should be"),
            (lambda: MySettings().model_copy(update={"port": SECRET}), "port: input should be"),
            (lambda: MyOptions().model_copy(update={"timeout": SECRET}), "timeout: input should be"),
            (lambda: MySettings.model_validate({"port": SECRET}), "port: input should be"),
            (lambda: MySettings.model_validate_json(f'{{"port": "{SECRET}"}}'), "port: input should be"),
            (lambda: TypeAdapter(list[MySettings]).validate_python([{"port": SECRET}]), "port: input should be"),
        ],
    )  # fmt: skip
    def test_a_wrong_value_is_refused_by_its_key_and_never_repeated(
        self, build: Callable[[], object], text: str
    ) -> None:
        assert text in refusal(build)

    def test_all_problems_are_told_at_once(self) -> None:
        text = refusal(lambda: MySettings.from_mapping({"PORT": 0, "AUTOCOMMIT": "x", "OPTIONS": {"mode": "x"}}))
        assert all(key in text for key in ("PORT: ", "AUTOCOMMIT: ", "OPTIONS.mode: "))

    def test_what_a_validator_of_the_author_repeats_is_taken_out(self) -> None:
        class Strict(MySettings, frozen=True):
            @field_validator("password", mode="before")
            @classmethod
            def _long_enough(cls, value: object) -> object:
                raise ValueError(f"the password {value} is too short")

        text = refusal(lambda: Strict.from_mapping({"PASSWORD": SECRET}, alias="a"))
        assert text == "settings of 'a': PASSWORD: the password *** is too short"

    def test_a_validator_over_all_of_a_subclass_is_told_like_the_others(self) -> None:
        class Paired(MySettings, frozen=True):
            @model_validator(mode="after")
            def _both(self) -> Paired:
                raise ValueError(f"USER goes with PASSWORD {self.password.get_secret_value()}")  # type: ignore[union-attr]  # the test gives text

        text = refusal(lambda: Paired.from_mapping({"PASSWORD": SECRET}, alias="a"))
        assert text == "settings of 'a': USER goes with PASSWORD ***"

    @pytest.mark.parametrize("key", ["ENGINE", "NAME", "USER", "HOST"])
    @pytest.mark.parametrize(
        "text",
        [f"postgresql://u:{SECRET}@h/db", f"postgresql://u:a/{SECRET}@h", f"dbname=app password={SECRET}"],
    )
    def test_credentials_in_the_place_of_a_name_are_refused(self, key: str, text: str) -> None:
        told = refusal(lambda: MySettings.from_mapping({key: text}))
        assert told.startswith(f"settings of 'default': {key}: holds credentials; give them as USER and PASSWORD")

    @pytest.mark.parametrize("name", ["file:///data/a:b/me@work.db", "my:strange@name", "password"])
    def test_a_name_may_look_odd(self, name: str) -> None:
        assert MySettings(name=name).name == name

    def test_an_error_in_one_thread_does_not_change_how_another_tells_its_own(self) -> None:
        inside, done = threading.Event(), threading.Event()

        class Slow(MySettings, frozen=True):
            @field_validator("name")
            @classmethod
            def _wait(cls, value: str) -> str:
                inside.set()
                assert done.wait(20)
                return value

        thread = threading.Thread(target=lambda: Slow(name="x"))
        thread.start()
        try:
            assert inside.wait(20)
            assert "port: input" in refusal(lambda: MySettings.model_validate({"port": SECRET}))
        finally:
            done.set()
            thread.join()


CHANGES: dict[str, Callable[[MySettings], object]] = {
    "attribute": lambda s: setattr(s, "name", "x"),
    "attribute of the options": lambda s: setattr(s.options, "timeout", 1.0),
    "unknown attribute": lambda s: setattr(s, "other", "x"),
    "private attribute": lambda s: setattr(s, "_other", "x"),
    "deletion": lambda s: delattr(s, "name"),
    "deletion in the options": lambda s: delattr(s.options, "timeout"),
}


class TestFrozen:
    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
    def test_attributes_refuse_change(self, change: Callable[[MySettings], object]) -> None:
        settings = MySettings.from_mapping(MAPPING)
        with pytest.raises(ImproperlyConfigured, match="is frozen"):
            change(settings)
        assert settings == MySettings.from_mapping(MAPPING)

    def test_a_refused_change_names_the_way_out(self) -> None:
        with pytest.raises(
            ImproperlyConfigured, match=r"MySettings\.name is frozen; .*settings\.derive\(name=\.\.\.\)"
        ):
            MySettings().name = "x"  # type: ignore[misc]  # frozen: that is the test
        expected = r"MyOptions\.timeout is frozen; .*settings\.derive\(options=\{'timeout': \.\.\.\}\)"
        with pytest.raises(ImproperlyConfigured, match=expected):
            MySettings().options.timeout = 1.0  # type: ignore[misc]  # frozen: that is the test

    def test_what_is_nested_is_frozen(self) -> None:
        settings = MySettings.from_mapping(
            {"OPTIONS": {"tags": {"a": [{"b": {1}}]}, "hosts": ["h"]}, "TEST": {"MIRRORS": ["x"], "D": {"e": []}}}
        )
        assert settings.options.tags == {"a": ({"b": frozenset({1})},)}
        assert settings.options.hosts == ("h",)  # type: ignore[comparison-overlap]  # declared a list, frozen to a tuple
        assert settings.test == {"MIRRORS": ("x",), "D": {"e": ()}}
        with pytest.raises(TypeError, match="frozen"):
            settings.test["D"]["e"] = 1  # type: ignore[index]  # frozen: that is the test

    def test_defaults_are_frozen(self) -> None:
        assert MySettings().options.hosts == ("localhost",)  # type: ignore[comparison-overlap]  # declared a list, frozen to a tuple

    def test_settings_can_be_hashed_with_dicts_and_lists_in_them(self) -> None:
        one = MySettings.from_mapping({**MAPPING, "OPTIONS": {"tags": {"a": [1], "b": {}}, "hosts": ["h"]}})
        other = MySettings.from_mapping({**MAPPING, "OPTIONS": {"tags": {"b": {}, "a": [1]}, "hosts": ["h"]}})
        assert one == other
        assert hash(one) == hash(other)

    def test_the_mapping_passed_is_not_changed_and_changing_it_later_changes_nothing(self) -> None:
        mapping = copy.deepcopy({**MAPPING, "OPTIONS": {"tags": {"a": [1]}, "hosts": ["h"]}})
        before = copy.deepcopy(mapping)
        settings = MySettings.from_mapping(mapping)
        expected, fingerprint = MySettings.from_mapping(copy.deepcopy(before)), settings.fingerprint
        assert mapping == before
        mapping["NAME"] = "other"
        mapping["OPTIONS"]["tags"]["a"].append(2)  # type: ignore[index]  # a mapping of objects, on purpose
        mapping["OPTIONS"]["hosts"].append("x")  # type: ignore[index]  # a mapping of objects, on purpose
        mapping["TEST"]["NAME"] = "x"  # type: ignore[index]  # a mapping of objects, on purpose
        mapping["MODELS"].append("x")  # type: ignore[attr-defined]  # a mapping of objects, on purpose
        assert settings == expected
        assert MySettings.from_mapping(before).fingerprint == fingerprint

    @pytest.mark.parametrize("kind", [dict, FrozenDict])
    def test_what_derive_was_given_may_change_later_without_effect(self, kind: type[dict[str, object]]) -> None:
        inner = [1]
        options = kind(tags={"a": inner})
        settings = MySettings().derive(options=options, test=kind(x=inner))
        inner.append(2)
        assert settings.options.tags == {"a": (1,)}
        assert settings.test == {"x": (1,)}

    def test_options_that_were_copied_with_an_update_are_frozen_and_validated(self) -> None:
        inner = {"a": 1}
        options = MyOptions().model_copy(update={"tags": inner, "timeout": "3"})
        settings = MySettings(options=options)
        inner["a"] = 2
        assert (settings.options.tags, settings.options.timeout) == ({"a": 1}, 3.0)

    def test_model_copy_leaves_the_original_and_gives_a_frozen_one(self) -> None:
        settings = MySettings(name="a")
        other = settings.model_copy(update={"name": "b", "test": {"x": []}})
        assert (settings.name, other.name, other.test) == ("a", "b", {"x": ()})
        hash(other)

    @pytest.mark.skipif(sys.version_info < (3, 13), reason="copy.replace is new in Python 3.13")
    def test_copy_replace_validates_and_freezes(self) -> None:
        replace = vars(copy)["replace"]  # mypy looks at this file as of Python 3.11
        assert replace(MySettings(), test={"x": []}).test == {"x": ()}
        refusal(lambda: replace(MySettings(), port=SECRET))

    def test_copies_are_the_object_itself(self) -> None:
        settings = MySettings()
        assert copy.copy(settings) is settings
        assert copy.deepcopy(settings) is settings

    def test_keys_that_an_open_model_takes_are_frozen_hidden_and_kept(self) -> None:
        inner = [1]
        settings = OpenSettings.from_mapping({"OPTIONS": {"list": inner, "password": SECRET}})
        settings = settings.derive(shard=inner)
        inner.append(2)
        for model, name in ((settings, "shard"), (settings.options, "list")):
            assert model.model_extra is not None
            assert model.model_extra[name] == (1,)
            with pytest.raises(TypeError, match="frozen"):
                model.model_extra["new"] = 1
        derived = settings.derive(name="b", options={"other": 1})
        assert derived.model_extra == {"shard": (1,)}
        assert derived.options.model_extra == {"list": (1,), "password": SECRET, "other": 1}
        assert SECRET not in repr(derived)
        assert SECRET in derived.secret_texts()
        assert settings.fingerprint != settings.derive(shard=[2]).fingerprint

    @pytest.mark.parametrize("make", [MySettings, MyOptions])
    def test_pickling_is_refused(self, make: Callable[[], object]) -> None:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="may hold secrets and refuses pickling"):
                pickle.dumps(make(), protocol)


class TestDerive:
    def test_the_original_stays(self) -> None:
        settings = MySettings.from_mapping(MAPPING)
        derived = settings.derive(name="test_app", port=None)
        assert (derived.name, derived.port, derived.user) == ("test_app", None, "web")
        assert settings == MySettings.from_mapping(MAPPING)
        assert type(derived) is MySettings

    def test_without_changes_it_is_equal(self) -> None:
        settings = MySettings.from_mapping(MAPPING)
        assert settings.derive() == settings
        assert settings.derive().fingerprint == settings.fingerprint

    def test_a_mapping_of_options_is_laid_over_the_present_ones(self) -> None:
        settings = MySettings.from_mapping(MAPPING).derive(options={"timeout": "9"})
        assert settings.options == MyOptions(timeout=9.0, mode="fast")

    def test_options_given_whole_replace_the_present_ones(self) -> None:
        assert MySettings.from_mapping(MAPPING).derive(options=MyOptions()).options == MyOptions()

    def test_secrets_survive(self) -> None:
        settings = (
            MySettings.from_mapping(MAPPING).derive(options={"token": "t"}).derive(name="x", options={"timeout": 1})
        )
        assert settings.reveal_password() == SECRET
        assert settings.options.token.get_secret_value() == "t"


def everything_shown(settings: ConnectionSettings) -> str:
    free: dict[str, Any] = {"options": {"tags", "hook", "hosts", "access_token"}}  # plain data, by their declaration
    if isinstance(settings.password, CredentialSource):
        free["password"] = True  # which JSON has no word for
    return "\n".join(
        [repr(settings), str(settings), f"{settings}", repr([settings]), repr(settings.options), settings.fingerprint]
        + [repr(getattr(settings, name)) + str(getattr(settings, name)) for name in type(settings).model_fields]
        + [repr(settings.model_dump(exclude=free)), settings.model_dump_json(exclude=free | {"test": True})]
        + [repr(list(settings.__repr_args__())), repr(list(settings))]
    )


class TestSecrets:
    def test_no_form_of_output_shows_one(self) -> None:
        settings = MySettings.from_mapping(
            {
                "PASSWORD": SECRET,
                "OPTIONS": {
                    "token": SECRET,
                    "seal": SECRET,
                    "tls": {"key_password": SECRET},
                    "tags": {"api_key": SECRET},
                },
                "TEST": {"USER": "t", "PASSWORD": SECRET, "deep": [{"client_secret": SECRET}]},
            }
        )
        assert SECRET not in everything_shown(settings)
        assert settings.test["PASSWORD"] == SecretStr(SECRET)
        assert settings.options.tags["api_key"] == SECRET

    def test_an_option_that_is_not_declared_secret_but_named_so_is_hidden(self) -> None:
        class Careless(Options, frozen=True):
            access_token: str = ""

        class CarelessSettings(ConnectionSettings, frozen=True):
            options: Careless = Careless()

        settings = CarelessSettings.from_mapping({"OPTIONS": {"access_token": SECRET}})
        assert SECRET not in everything_shown(settings)
        assert SECRET in settings.secret_texts()

    def test_logging_settings_or_their_refusal_shows_none(self, caplog: pytest.LogCaptureFixture) -> None:
        logger = logging.getLogger("tests.settings")
        logger.warning("using %s", MySettings.from_mapping(MAPPING))
        try:
            MySettings.from_mapping({"PORT": SECRET})
        except ImproperlyConfigured:
            logger.exception("cannot use it")
        assert caplog.text.count("settings of 'default'") == 1
        shown = [line for line in caplog.text.splitlines() if not line.startswith("    ")]  # not this test's source
        assert SECRET not in "\n".join(shown)

    @pytest.mark.parametrize(
        "secret", ["p@ss wörd/1", "a'b\\c", 'say "x"', "100%", "x+y&z=1", "t\tb\n", "\udc80raw", "\ud800lone"]
    )
    def test_every_spelling_of_a_secret_is_taken_out_of_an_error(self, secret: str) -> None:
        raw = secret.encode(errors="surrogatepass" if "\ud800" in secret else "surrogateescape")
        spellings = [
            secret,
            quote(raw),
            quote(raw, safe=""),
            re.sub("%..", lambda code: code[0].lower(), quote(raw, safe="")),
            quote_plus(raw),
            repr(secret)[1:-1],
            secret.replace("\\", "\\\\").replace("'", "\\'"),
        ]
        settings = MySettings(options=MyOptions(token=SecretStr(secret)))
        error: Exception = RuntimeError(b"cannot read <" + raw + b"> there")
        scrub(error, settings.secret_texts())
        assert error.args == (b"cannot read <***> there",)
        for spelling in spellings:
            error = OSError(f"cannot read <{spelling}> there")
            scrub(error, settings.secret_texts())
            assert str(error) == "cannot read <***> there"

    @given(st.text(min_size=1).map(lambda text: f"<{text}>"))
    def test_any_password_is_taken_out_of_any_text_it_is_in(self, secret: str) -> None:
        settings = MySettings(password=SecretStr(secret), test={"PASSWORD": secret + "2"})
        error = RuntimeError(f"before {secret} between {secret}2 after", [secret], {"dsn": f"x{secret}"})
        scrub(error, settings.secret_texts())
        assert error.args == ("before *** between *** after", ["***"], {"dsn": "x***"})

    def test_longer_secrets_are_taken_out_before_those_inside_them(self) -> None:
        settings = MySettings(password=SecretStr("abc"), options=MyOptions(token=SecretStr("abcdef")))
        error = RuntimeError("token abcdef")
        scrub(error, settings.secret_texts())
        assert str(error) == "token ***"

    def test_an_empty_password_takes_nothing_out(self) -> None:
        assert MySettings().secret_texts() == ()


class TestCredentialSource:
    def test_each_call_fetches_anew(self) -> None:
        values = iter(["one", "two"])
        settings = MySettings(password=CredentialSource("iam", lambda: next(values)))
        assert (settings.reveal_password(), settings.reveal_password()) == ("one", "two")

    def test_making_deriving_and_showing_settings_fetches_nothing(self) -> None:
        def fetch() -> str:
            raise AssertionError("nobody has asked for it")

        settings = MySettings(password=CredentialSource("iam", fetch)).derive(name="x")
        assert "CredentialSource('iam')" in repr(settings)
        assert settings.secret_texts() == ()
        hash(settings)
        assert settings.fingerprint

    def test_what_was_fetched_is_shown_nowhere_and_known_to_the_cleaning(self) -> None:
        source = CredentialSource("iam", lambda: SECRET)
        settings = MySettings(password=source)
        settings.reveal_password()
        assert SECRET not in everything_shown(settings)
        assert SECRET in settings.secret_texts()

    def test_credentials_of_threads_that_open_at_once_are_all_known_to_the_cleaning(self) -> None:
        names = iter(range(16))
        settings = MySettings(password=CredentialSource("iam", lambda: f"token-{next(names)}"))
        barrier = threading.Barrier(16)

        def fetch() -> None:
            barrier.wait(20)
            settings.reveal_password()

        threads = [threading.Thread(target=fetch) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {f"token-{number}" for number in range(16)} <= set(settings.secret_texts())

    def test_a_credential_that_stays_the_same_is_remembered_once(self) -> None:
        source = CredentialSource("vault", lambda: SECRET)
        for _ in range(100):
            source()
        assert source.recent == (SECRET,)

    def test_no_more_than_so_many_are_remembered(self) -> None:
        numbers = iter(range(1000))
        source = CredentialSource("iam", lambda: str(next(numbers)))
        for _ in range(1000):
            source()
        assert len(source.recent) <= 64
        assert source.recent[-1] == "999"

    @pytest.mark.parametrize("value", [None, b"bytes", SecretStr(SECRET), 7])
    def test_what_is_no_text_is_refused_by_its_name(self, value: Any) -> None:
        text = refusal(CredentialSource("iam:reports", lambda: value))
        assert text == f"CredentialSource('iam:reports'): fetch() returned {type(value).__name__}, not text"

    def test_an_error_of_fetch_passes_through(self) -> None:
        def fetch() -> str:
            raise LookupError("vault is sealed")

        with pytest.raises(LookupError, match="sealed"):
            MySettings(password=CredentialSource("vault", fetch)).reveal_password()

    def test_a_pickled_source_does_not_take_the_credential_along(self) -> None:
        source = CredentialSource("env", _fetch_secret)
        source()
        assert SECRET.encode() not in pickle.dumps(source)
        made = pickle.loads(pickle.dumps(source))
        assert (made, made.recent, made()) == (source, (), SECRET)
        assert copy.copy(source).recent == ()

    def test_it_is_frozen(self) -> None:
        with pytest.raises(AttributeError):
            CredentialSource("iam", lambda: "").name = "x"  # type: ignore[misc]  # read-only: that is the test


def _fetch_secret() -> str:
    return SECRET


def session(**changes: Any) -> MySettings:
    return MySettings.from_mapping(MAPPING).derive(**changes)


class TestFingerprint:
    @pytest.mark.parametrize(
        "change",
        [
            {"engine": "other"}, {"name": "x"}, {"user": "x"}, {"password": "x"}, {"host": "x"}, {"port": 1},
            {"port": (5432,)}, {"autocommit": True}, {"time_zone": None}, {"options": {"timeout": 4}},
            {"options": {"token": "x"}}, {"options": {"seal": "x"}}, {"options": {"tls": {"key_password": "x"}}},
            {"options": {"tags": {"a": 1}}}, {"options": {"tags": {"a": "1"}}}, {"options": {"hosts": ["x"]}},
            {"options": {"hook": print}},
        ],
        ids=str,
    )  # fmt: skip
    def test_whatever_makes_a_session_changes_it(self, change: dict[str, object]) -> None:
        assert session(**change).fingerprint != session().fingerprint

    def test_all_those_changes_are_told_apart(self) -> None:
        changes: list[dict[str, object]] = [
            {"password": "x"}, {"password": "y"}, {"options": {"token": "x"}}, {"options": {"token": "y"}},
            {"options": {"seal": "x"}}, {"options": {"seal": "y"}}, {"options": {"tags": {"a": 1}}},
            {"options": {"tags": {"a": [1]}}}, {"options": {"tags": {"a": {"1": None}}}}, {"name": "x", "user": ""},
            {"name": "", "user": "x"}, {"name": "x\0user='y'"}, {"options": {"hosts": ["a", "b"]}},
            {"options": {"hosts": ["a, b"]}}, {"options": {"hosts": ["b", "a"]}},
        ]  # fmt: skip
        assert len({session(**change).fingerprint for change in changes}) == len(changes)

    @pytest.mark.parametrize(
        "change",
        [
            {"conn_max_age": None}, {"conn_health_checks": False}, {"atomic_requests": False},
            {"allow_blocking": True}, {"models": ()}, {"test": {}},
        ],
        ids=str,
    )  # fmt: skip
    def test_how_a_session_is_used_does_not(self, change: dict[str, object]) -> None:
        assert session(**change).fingerprint == session().fingerprint

    def test_the_order_in_a_mapping_does_not(self) -> None:
        one, other = ({"a": {1, 2}, "b": 2}, {"b": 2, "a": {2, 1}})
        assert session(options={"tags": one}).fingerprint == session(options={"tags": other}).fingerprint

    def test_another_settings_class_is_another_session(self) -> None:
        class Other(MySettings, frozen=True):
            pass

        assert Other.from_mapping(MAPPING).fingerprint != session().fingerprint

    def test_an_expiring_credential_counts_by_its_source(self) -> None:
        values = iter(["one", "two"])
        source = CredentialSource("iam:a", lambda: next(values))
        before = session(password=source).fingerprint
        source()
        assert session(password=source).fingerprint == before
        assert session(password=CredentialSource("iam:a", str)).fingerprint == before
        assert session(password=CredentialSource("iam:b", str)).fingerprint != before
        assert session(password="iam:a").fingerprint != before

    def test_two_functions_that_look_alike_are_two(self) -> None:
        class Hook:
            def __repr__(self) -> str:
                return "hook"

            def __call__(self) -> None: ...

        one, other = Hook(), Hook()
        assert session(options={"hook": one}).fingerprint == session(options={"hook": one}).fingerprint
        assert session(options={"hook": one}).fingerprint != session(options={"hook": other}).fingerprint

    def test_a_method_is_the_same_at_each_look(self) -> None:
        class Owner:
            def hook(self) -> None: ...

        one, other = Owner(), Owner()
        assert session(options={"hook": one.hook}).fingerprint == session(options={"hook": one.hook}).fingerprint
        assert session(options={"hook": one.hook}).fingerprint != session(options={"hook": other.hook}).fingerprint

    def test_it_is_a_digest_that_another_process_cannot_repeat(self) -> None:
        program = "from backend_sdk import ConnectionSettings as S; print(S(password='hunter2').fingerprint)"
        there = [subprocess.check_output([sys.executable, "-c", program], text=True).strip() for _ in range(2)]
        here = ConnectionSettings(password=SecretStr(SECRET)).fingerprint
        assert len({here, *there}) == 3
        assert all(re.fullmatch("[0-9a-f]{32}", digest) for digest in (here, *there))


class TestSubclasses:
    def test_a_settings_class_of_ones_own_keeps_all_promises(self) -> None:
        class Extra(SQLiteOptions, frozen=True):
            extensions: tuple[str, ...] = ()

        class ExtraSettings(SQLiteSettings, frozen=True):
            options: Extra = Extra()
            region: str = ""

        settings = ExtraSettings.from_mapping(
            {"NAME": ":memory:", "REGION": "eu", "OPTIONS": {"extensions": ["spatial"]}}
        )
        assert settings.options.extensions == ("spatial",)
        assert settings.derive(region="us").fingerprint != settings.fingerprint
        hash(settings)
        assert refusal(lambda: settings.derive(options={"extenions": []})) == (
            "settings of 'ExtraSettings': unknown key 'options.extenions'; did you mean 'extensions'?"
        )
        with pytest.raises(ImproperlyConfigured, match="frozen"):
            settings.region = "x"  # type: ignore[misc]  # frozen: that is the test

    def test_what_an_outer_model_holds_is_told_the_same_way(self) -> None:
        outer = TypeAdapter(dict[str, MySettings])
        assert "port: input should be" in refusal(lambda: outer.validate_python({"a": {"port": SECRET}}))
