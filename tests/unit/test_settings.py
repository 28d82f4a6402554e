"""A wrong setting is said at once, with its name, its value and what was expected."""

from dataclasses import fields
from typing import Any

import pytest

from recovery.errors import ConfigurationError
from recovery.settings import Settings, SettingsOptions

NAMES = ["stream_name", "session_key_prefix", "channel_prefix"]
CHOICES = ["use_sharded_pubsub", "only_plaintext"]
WHOLE = [
    "max_len",
    "stream_count",
    "read_count",
    "max_waiting_bytes",
    "max_client_buffer",
    "max_rooms",
    "max_replay",
    "log_max_entries",
    "log_max_bytes",
    "max_packet_bytes",
    "max_session_bytes",
]
SECONDS = [field.name for field in fields(Settings) if field.name not in [*NAMES, *CHOICES, *WHOLE]]

WRONG = [
    *[(name, value, "non-empty string") for name in NAMES for value in ("", 5, b"socket.io", ["a"])],
    *[(name, None, "non-empty string") for name in NAMES if name != "channel_prefix"],
    *[(name, value, "True or False") for name in CHOICES for value in (None, 0, "yes")],
    *[(name, value, "at least 1") for name in WHOLE for value in (0, -1)],
    *[(name, value, "whole number") for name in WHOLE for value in (1.5, 2.0, float("nan"))],
    *[(name, value, "expected a number") for name in WHOLE + SECONDS for value in ("5", True, [1], 1j)],
    *[(name, None, "expected a number") for name in WHOLE + SECONDS if name != "max_len"],
    *[
        (name, value, "positive number of seconds")
        for name in SECONDS
        for value in (0, 0.0, -1, float("inf"), float("nan"))
    ],
    ("block_time", 2.1, "at most 2 s"),
    ("heartbeat_timeout", 5.0, "more than heartbeat_interval"),
]


@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
def test_a_wrong_value_is_named(name: str, value: Any, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"{name} is {value!r}")
    assert expected in message


def test_a_configuration_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="read_count"):
        Settings(read_count=0)


def test_an_unknown_setting_is_refused() -> None:
    unknown: dict[str, Any] = {"max_length": 1}
    with pytest.raises(TypeError, match="max_length"):
        Settings(**unknown)


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_len", None), ("max_len", 1), ("block_time", 2), ("read_count", 1), ("publish_timeout", 1)],
)
def test_values_at_the_bounds_are_accepted(name: str, value: Any) -> None:
    assert getattr(Settings(**{name: value}), name) == value


def test_retention_covers_an_absence_that_is_noticed_late() -> None:
    settings = Settings(max_disconnection_duration=120.0, checkpoint_interval=15.0)
    assert settings.retention_ms(ping_interval=25.0, ping_timeout=20.0) == 180_000
    assert settings.window_ms == 120_000


def test_the_keyword_arguments_of_a_manager_are_the_settings() -> None:
    annotations = {field.name: field.type for field in fields(Settings)}
    assert SettingsOptions.__annotations__ == annotations
