"""What a program loads that only wants to judge a history, or to show the demo."""

import subprocess
import sys

import pytest

_HEAVY = ("hypothesis", "pytest", "socketio", "engineio", "redis")


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import recovery.testing", _HEAVY),
        ("import recovery.testing.checker", _HEAVY),
        ("import adapter.demo.play", ("hypothesis", "pytest")),
    ],
    ids=["testing", "checker", "demo"],
)
def test_nothing_is_loaded_that_is_not_needed(statement: str, unwanted: tuple[str, ...]) -> None:
    program = f"import sys; {statement}; print([name for name in {unwanted!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_every_public_name_is_there_and_no_other() -> None:
    import recovery.testing  # noqa: PLC0415 - other tests see to it that it is loaded late

    for name in recovery.testing.__all__:
        assert getattr(recovery.testing, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Checker'"):
        recovery.testing.Checker  # noqa: B018 - the attribute is looked up
