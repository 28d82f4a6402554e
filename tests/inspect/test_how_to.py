"""What the guide to failed recoveries shows is what the commands say."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from recovery.reasons import Reason
from tests.docs.pages import DOCS, Block, blocks
from tests.inspect.befalling import CASES, presented
from tests.inspect.commands import run
from tests.inspect.recording import Recorded

PAGE = DOCS / "how-to" / "debug-a-failed-recovery.md"
SHOWN = {block.name: block for block in blocks(PAGE) if block.language == "console"}

_VARYING = {  # in this order
    r"\b[0-9]{13}-[0-9]+\b": "OFFSET",
    r"\b[0-9a-f]{64}\b": "IDENTITY",
    r"\b[0-9a-f]{16}\b": "SERVER",
    r"(?<= )[0-9a-f]{8}(?= )": "SERVER",
    r"(?<![\w-])[\w-]{20}(?![\w-])": "SID",
    r"(?<![\w-])[\w-]{6}\.\.\.": "PID",
    r"\b[0-9]+\.[0-9] s ago": "AGO",
    r"\b[0-9]+(\.[0-9])?(ms|s|m|h)([0-9]+[sm])?\b": "TIME",
    r" +": " ",
}


@pytest.fixture
def store(recorded: Recorded, valkey_url: str) -> Iterator[Any]:
    """A copy of the data set, and a client that may change it."""
    recorded.copy_to(valkey_url)
    with redis.Redis.from_url(valkey_url) as client:
        yield client
        client.flushall()


def plain(text: str) -> list[str]:
    """Lines without what differs from run to run."""
    for pattern, word in _VARYING.items():
        text = re.sub(pattern, word, text)
    return [line.strip() for line in text.strip().splitlines()]


def shown(block: Block) -> tuple[list[str], list[str]]:
    """The command that a block shows, and the lines below it."""
    command, _, output = block.text.partition("\n")
    assert command.startswith("$ socketio-recovery ")
    return shlex.split(command)[2:], plain(output)


@pytest.mark.parametrize("reason", CASES)
def test_each_reason_is_shown_as_it_is_told(
    store: Any, valkey_url: str, recorded: Recorded, reason: Reason | None
) -> None:
    case = CASES[reason]
    case.befalls(store, recorded)
    (command, _, offset, *options), lines = shown(SHOWN[reason.value if reason else "recovered"])
    assert command == "why"
    assert options == list(case.options)
    pid, own = presented(case, recorded)
    answer = run("why", pid, own, *options, "--url", valkey_url)
    assert plain(answer.out) == lines
    assert plain(offset) == plain(own)
    assert answer.status == (1 if reason else 0)


def test_a_replay_is_shown_as_it_is(recorded: Recorded) -> None:
    (command, _, *options), lines = shown(SHOWN["replay"])
    ann = recorded["ann"]
    own = [ann.offset if plain(each) == ["OFFSET"] else each for each in options]
    assert plain(run(command, ann.pid, *own, "--url", recorded.url).out) == lines


def test_the_list_is_shown_as_it_is(recorded: Recorded) -> None:
    command, lines = shown(SHOWN["sessions"])
    assert sorted(plain(run(*command, "--url", recorded.url).out)) == sorted(lines)


def test_a_store_that_is_away_is_shown_as_it_is() -> None:
    command, [line] = shown(SHOWN["store-unavailable"])
    answer = run(*command, "--url", "unix:///nowhere/at.all")
    assert answer.status == 3
    assert re.fullmatch(line.replace("PLACE", r"\S+").replace("WHY", ".+"), answer.err.strip())


def test_every_reason_has_a_part() -> None:
    parts = re.findall(r"^### `(.*)`$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert parts == [reason.value for reason in Reason]
    assert {name for name in SHOWN if name in set(Reason)} == set(Reason) - {Reason.REFUSED}
