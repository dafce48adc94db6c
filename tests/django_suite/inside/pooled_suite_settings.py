"""Settings for Django's own test suite, as the environment says; nothing of this project but the engine is imported."""

from __future__ import annotations

import json
import os
from typing import Any

_PLAN = json.loads(os.environ["DJANGO_SUITE_PLAN"])


def _alias(name: str) -> dict[str, Any]:
    wraps = f"django.db.backends.{_PLAN['engine']}"
    database = {**_PLAN["database"], "NAME": name, "TEST": {"NAME": _PLAN["test_names"][name]}}
    if not _PLAN["pooled"]:
        return {**database, "ENGINE": wraps}
    options = {"WRAPS": wraps, "POOL": {"max_size": 10, "timeout": 20}}
    return {**database, "ENGINE": "reference_backends.django_pooled", "OPTIONS": options}


DATABASES = {"default": _alias("suite"), "other": _alias("suite_other")}
SECRET_KEY = "of a test run"
TEST_RUNNER = "recording.RecordingRunner"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
