"""The reference is complete: every setting, every reason and every key of the store is on its page."""

import dataclasses
import inspect
import re

import pytest

import adapter
from recovery.reasons import Reason
from recovery.settings import Settings
from recovery.stores.redis.keys import Keys
from tests.quality.repository import ROOT, relative

pytestmark = pytest.mark.quality

_REFERENCE = ROOT / "docs" / "reference"


def _page(subject: str) -> str:
    pages = sorted(_REFERENCE.glob(f"*{subject}*.md"))
    assert pages, f"{relative(_REFERENCE)} has no page about {subject}"
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def _not_named(names: list[str], page: str) -> list[str]:
    return [name for name in names if not re.search(rf"`{re.escape(name)}[`=:(]", page)]


def test_every_setting_is_on_its_page() -> None:
    of_the_core = [field.name for field in dataclasses.fields(Settings)]
    of_the_manager = [
        parameter.name
        for parameter in inspect.signature(adapter.AsyncRecoveryManager).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    assert not _not_named([*of_the_core, *of_the_manager], _page("settings"))


def test_every_reason_is_on_its_page() -> None:
    assert not _not_named([str(reason) for reason in Reason], _page("reasons"))


def test_every_key_is_on_its_page() -> None:
    names = _key_patterns()
    assert len(names) > 1
    page = _page("keys")
    assert not [name for name in names if name not in page]


def _key_patterns() -> list[str]:
    """What each public member of `Keys` answers for placeholders: ``<pid>`` for a parameter ``pid``."""
    keys = Keys("<stream_name>", "<session_key_prefix>")
    members = [
        name for name, member in vars(Keys).items() if not name.startswith("_") and not _is_field(member)
    ]
    answers = [_answer(getattr(keys, name)) for name in members]
    return [answer for answer in answers if isinstance(answer, str)]


def _is_field(member: object) -> bool:
    return inspect.ismemberdescriptor(member)


def _answer(member: object) -> object:
    if not callable(member):
        return member
    return member(*(f"<{name}>" for name in inspect.signature(member).parameters))
