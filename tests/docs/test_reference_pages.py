"""The reference shows what is so: recorded examples read back, and the store holds the fields named there."""

import inspect
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from docs.operations import LOG_EVENTS, log_calls
from recovery.commands import Append, ClaimSession, OpenStream, SaveSession
from recovery.core.control import read_control
from recovery.core.packets import StoredEntry
from recovery.deadlines import Expired, ExpireSession
from recovery.entries import Head, Kind, PayloadCodec, make_draft, read_head
from recovery.offsets import ORIGIN, parse_offset
from recovery.reasons import Reason
from recovery.records import Entry, Epoch, HolderState, Namespace, Pid, ServerId, Sid
from recovery.sessions import decode_session
from recovery.stores import open_store
from recovery.stores.redis.keys import Keys
from tests.docs.pages import DOCS, ROOT, Block, blocks
from tests.waiting import wait_until

KEYS_PAGE = DOCS / "reference" / "redis-keys.md"
REASONS_PAGE = DOCS / "reference" / "reasons.md"
ALL_PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
CODEC = PayloadCodec()

_FIELD = re.compile(r"^  (\w+) +(.*)$", re.MULTILINE)
_NAMED_TEST = re.compile(r"`(tests/[\w./]+\.py)::(\w+)`")


def _entry(block: Block) -> Entry:
    offset, _, _ = block.text.partition("\n")
    fields = {name.encode(): value.encode() for name, value in _FIELD.findall(block.text)}
    return Entry(parse_offset(offset), fields)


ENTRIES = [_entry(block) for block in blocks(KEYS_PAGE) if (block.language, block.name) == ("text", "entry")]
HEADS = [(entry, head) for entry in ENTRIES if (head := read_head(entry)) is not None]


def test_there_is_an_example_of_every_kind_of_entry() -> None:
    assert {head.kind for _, head in HEADS} == set(Kind)
    assert [entry for entry in ENTRIES if read_head(entry) is None] == ENTRIES[:1], "the genesis entry"


@pytest.mark.parametrize(("entry", "head"), HEADS, ids=lambda part: str(getattr(part, "offset", "")))
def test_a_recorded_entry_is_what_we_would_write_again(entry: Entry, head: Head) -> None:
    stored: StoredEntry[object] = StoredEntry.read(entry)
    payload = stored.payload(CODEC)
    if head.kind is Kind.BROADCAST:
        assert stored.broadcast(CODEC).args
    else:
        read_control(stored, CODEC)  # raises what it cannot read
    again = make_draft(
        head.kind,
        payload,
        CODEC,
        server=head.server,
        namespace=head.namespace,
        rooms=head.rooms or (),
        target=head.target,
    )
    assert again.fields == tuple(entry.fields.items())


def test_the_recorded_session_says_what_the_page_says() -> None:
    [value] = [
        block.text for block in blocks(KEYS_PAGE) if (block.language, block.name) == ("text", "session")
    ]
    [said] = [
        block.text for block in blocks(KEYS_PAGE) if (block.language, block.name) == ("json", "session")
    ]
    session, fields = decode_session(value.strip().encode()), json.loads(said)
    assert (session.sid, session.pid, session.namespace) == (fields["sid"], fields["pid"], fields["nsp"])
    assert (list(session.rooms), session.data, session.epoch) == (
        fields["rooms"],
        fields["data"],
        fields["epoch"],
    )
    assert (str(session.start), str(session.position)) == (fields["start"], fields["position"])
    assert [
        [[str(change.offset), change.entered] for change in session.history[fields["rooms"][place]]]
        for _, places in fields["history"]
        for place in places
    ] == [changes for changes, _ in fields["history"]]
    assert len(session.history) == 1


def test_the_hashes_have_the_fields_that_the_page_names(valkey_url: str) -> None:
    keys, pid, server = Keys("socket.io", "sio:session:"), Pid("p" * 20), ServerId("s")
    _write_everything(valkey_url, pid, server)
    with redis.Redis.from_url(valkey_url, decode_responses=True) as client:
        assert _fields_named_below("## The epoch key") == _fields_of(client, keys.epoch)
        assert _fields_named_below("## Producer keys") == _fields_of(client, keys.producer(server))
        assert _fields_named_below("## Claim keys") == _fields_of(client, keys.claim(pid))


def _write_everything(url: str, pid: Pid, server: ServerId) -> None:
    store = open_store(url, stream_name="socket.io", session_key_prefix="sio:session:")
    epoch, namespace = Epoch("e"), Namespace("/")
    draft = make_draft(Kind.BROADCAST, {}, CODEC, server=server, namespace=namespace, rooms=(Sid("a"),))
    store.execute(OpenStream(epoch))
    store.execute(Append(server, 1, (draft,), epoch, 1000, None))
    save = SaveSession(
        pid=pid,
        number=1,
        owner=server,
        namespace=namespace,
        identity="",
        epoch=epoch,
        value=b"",
        proven=ORIGIN,
        state=HolderState.LIVE,
        ttl_ms=60_000,
        linger_ms=60_000,
        create=True,
        keep_ms=60_000,
    )
    store.execute(save)
    store.execute(ClaimSession(pid, namespace, "", epoch, server, "nonce"))
    store.execute(replace(save, number=2, nonce="nonce", ttl_ms=1, create=False))
    expire = ExpireSession(pid, server, "another nonce", grace_ms=0, lease_ms=60_000)
    wait_until(lambda: isinstance(store.execute(expire), Expired), what="expired")
    store.close()


def _fields_of(client: Any, key: str) -> set[str]:  # redis-py's types are those of both colours at once
    return set(client.hkeys(key))


def _fields_named_below(heading: str) -> set[str]:
    part = KEYS_PAGE.read_text(encoding="utf-8").partition(f"{heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", part, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_the_reasons_page_has_a_part_for_each_reason_and_no_other() -> None:
    headings = re.findall(r"^## `(.*)`$", REASONS_PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == [str(reason) for reason in Reason]


def test_the_table_of_logs_names_every_event_and_no_other() -> None:
    files = [path for package in ("recovery", "adapter") for path in (ROOT / package).rglob("*.py")]
    logged = {
        event
        for path in files
        for event in re.findall(r'"event": "([a-z.]+)"', path.read_text(encoding="utf-8"))
    }
    page = (DOCS / "reference" / "log-events.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([a-z.]+)` \| [a-z, ]+ \| `recovery\.", page, re.MULTILINE)
    assert sorted(named) == sorted(logged)


def test_whatever_is_logged_has_a_name_and_every_name_a_meaning() -> None:
    calls = list(log_calls())
    assert [call for call in calls if not call.event] == []
    assert {call.event for call in calls} == set(LOG_EVENTS)
    assert all(LOG_EVENTS.values())


def test_no_call_of_a_logger_is_overlooked() -> None:
    files = [path for package in ("recovery", "adapter") for path in (ROOT / package).rglob("*.py")]
    pattern = re.compile(r"\blogger\.(?:debug|info|warning|error|exception|critical|log)\(")
    found = sum(len(pattern.findall(path.read_text(encoding="utf-8"))) for path in files)
    assert found == len(list(log_calls())) > 40


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_tests_that_a_page_names_exist(page: Path) -> None:
    named = _NAMED_TEST.findall(page.read_text(encoding="utf-8"))
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert not missing


async def test_the_python_of_the_reference_runs() -> None:
    """A page's blocks build on one another; a function that needs no server is called."""
    for page in sorted((DOCS / "reference").glob("*.md")):
        names: dict[str, Any] = {"__name__": "page"}
        for block in blocks(page):
            if block.language == "python":
                exec(compile(block.text, f"{page.name}:{block.line}", "exec"), names)  # noqa: S102 - our own page
        publish = names.get("publish_once")
        if publish is not None:
            manager = names["AsyncRecoveryManager"]("memory://", write_only=True)
            assert inspect.iscoroutinefunction(names["announce"])
            await publish(manager, "one")
            await manager.close()
