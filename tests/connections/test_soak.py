"""A short run of the soak, and that it fails when it must."""

from __future__ import annotations

import pytest

from tests.soak import scopes
from tests.soak.counting import Count


def test_a_short_run_serves_nobody_the_other_database(capsys: pytest.CaptureFixture[str]) -> None:
    code = scopes.main(["--wsgi", "200", "--asgi", "60", "--threads", "4"])
    told = capsys.readouterr().out
    assert code == 0, told
    assert "WSGI: 200 of 200" in told
    assert "ASGI: 60 of 60" in told


def test_a_run_that_mixes_tenants_up_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(scopes, "tenant_name", lambda handler: "sa")
    assert scopes.main(["--wsgi", "8", "--asgi", "8", "--threads", "2"]) == 1
    assert "4 answers from the wrong database" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answered", "wrong", "most", "left"), [(9, 0, 1, 0), (10, 1, 1, 0), (10, 0, 5, 0), (10, 0, 1, 1)]
)
def test_each_figure_alone_fails_the_run(answered: int, wrong: int, most: int, left: int) -> None:
    count = Count()
    count.most, count.open = most, left
    assert not scopes.report("WSGI", 10, [None] * answered, [None] * wrong, count, 2, 0.0)
    count.most, count.open = 4, 0
    assert scopes.report("WSGI", 10, [None] * 10, [], count, 2, 0.0)
