"""The page in a real browser while the store changes.

Sessions come, expire and are forgotten; the store goes away; there are thousands of sessions; and a hostile
client has put what it likes into one.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from recovery.inspect.web.handles import handle_of
from recovery.offsets import Offset
from recovery.records import Epoch, Namespace, Pid, RoomChange, SavedSession, Sid
from recovery.stores.embedded import EmbeddedServer
from tests.inspect.chromium import Browser, Keys, served
from tests.inspect.filling import append_entry, fill, filled_pid, save_session
from tests.inspect.recording import KEYS

TOKEN = "a-token-of-this-test"
MANY = 10_000
MARKUP = "<script>window.owned = 1</script><img src=x onerror='window.owned = 1'>"
TURNED = "\u202egnp.exe\u2066\u200f"
COUNT_TIMERS = """
window.timers = 0;
const set = window.setTimeout;
window.setTimeout = (...given) => { window.timers += 1; return set(...given); };
"""
HOSTILE = f"{MARKUP}{TURNED}\x1b[31m\x00'\"&amp;{{{{7*7}}}}"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A store that changes."""
    with EmbeddedServer() as server:
        yield server.url


@pytest.fixture
def store(url: str) -> Iterator[Any]:
    with redis.Redis.from_url(url) as client:
        client.flushall()
        client.hset(KEYS.epoch, "id", "e")
        append_entry(client, ["first"])
        yield client


@pytest.fixture(scope="module")
def page(url: str) -> Iterator[str]:
    with served("--url", url) as address:
        yield address


def _save(store: Any, name: str, **changes: Any) -> Pid:
    """Save a session that is away, of a client that has been there since the stream began."""
    [(first, _)] = store.xrange(KEYS.stream, count=1)
    begin = Offset(int(first.partition(b"-")[0]), 0)
    pid, now = Pid(f"{name}-of-a-client-{'p' * 12}"), round(time.time() * 1000)
    rooms = changes.pop("rooms", ())
    session = SavedSession(
        Sid(changes.pop("sid", f"sid-of-{name}")),
        pid,
        Namespace(changes.pop("namespace", "/")),
        rooms,
        changes.pop("data", {}),
        Epoch("e"),
        begin,
        begin,
        {room: (RoomChange(begin, entered=True),) for room in rooms},
    )
    save_session(store, session, since=now, proven=begin, **changes)
    return pid


def _loaded_once(browser: Browser) -> None:
    """Leave a mark that is gone if the page is loaded anew."""
    browser.run("window.mark = 'here'")


def test_a_session_that_comes_is_shown(store: Any, page: str, browser: Browser) -> None:
    browser.open(page)
    _loaded_once(browser)
    browser.wait_for("#found", "0 sessions")
    _save(store, "newcomer")
    browser.wait_for("#found", "sid-of-newcomer")
    assert browser.run("return window.mark") == "here"


def test_a_session_that_expires_while_it_is_shown_says_so(store: Any, page: str, browser: Browser) -> None:
    pid = _save(store, "leaver", for_ms=3_600_000)
    browser.open(f"{page}/sessions/{handle_of(pid)}")
    _loaded_once(browser)
    browser.wait_for(".outcome", "recovered")
    store.hset(KEYS.claim(pid), "deadline", round(time.time() * 1000) - 1)
    browser.wait_for("main > .summary", "expired")
    browser.wait_for(".outcome", "session-expired")
    store.delete(KEYS.claim(pid), KEYS.session(pid))
    browser.wait_for("h1", "Not found")
    assert browser.run("return window.mark") == "here"


def test_a_session_that_expires_in_a_list_says_so(store: Any, page: str, browser: Browser) -> None:
    pid = _save(store, "one-of-them")
    browser.open(f"{page}/")
    browser.wait_for("tbody .state", "away")
    store.hset(KEYS.claim(pid), "deadline", round(time.time() * 1000) - 1)
    browser.wait_for("tbody .state", "expired")
    store.delete(KEYS.claim(pid), KEYS.session(pid))
    browser.wait_for("#found .empty", "no sessions")


def test_what_a_person_is_doing_stays(store: Any, page: str, browser: Browser) -> None:
    pid = _save(store, "watched", rooms=("news",))
    browser.open(f"{page}/sessions/{handle_of(pid)}")
    browser.find("#offset").send_keys("17")
    append_entry(store, ["for the news"], rooms=("news",))
    browser.wait_for("#return", "It would be sent 1 packets.")
    browser.find("#packets summary").click()
    browser.find("#offset").send_keys("23")
    append_entry(store, ["again"], rooms=("news",))
    browser.wait_for("#return", "It would be sent 2 packets.")
    browser.wait_for("#packets", "again")
    assert browser.focused() == "offset"
    assert browser.find("#offset").get_attribute("value") == "1723"


def test_a_page_that_is_paused_stands_still(store: Any, page: str, browser: Browser) -> None:
    browser.open(page)
    browser.run(COUNT_TIMERS)
    timers = "window.timers = 0; document.getElementById('pause').click(); return window.timers"
    assert browser.run(timers) == 0
    assert browser.text("#pulse") == "Paused"
    _save(store, "unseen")
    browser.find("#pause").click()
    browser.wait_for("#found", "sid-of-unseen")


def test_a_store_that_goes_away_is_missed_and_comes_back(browser: Browser) -> None:
    server = EmbeddedServer()
    with redis.Redis.from_url(server.url) as client:
        client.hset(KEYS.epoch, "id", "e")
        append_entry(client, ["first"])
        _save(client, "waiting")
    try:
        with served("--url", server.url) as page:
            browser.open(page)
            browser.wait_for("#found", "sid-of-waiting")
            server.stop()
            browser.wait_for("#pulse", "no connection to the store")
            assert "sid-of-waiting" in browser.text("#found")
            browser.open(f"{page}/stream")
            browser.wait_for("h1", "No answer")
        browser.wait_for("#pulse", "does not answer")
    finally:
        server.stop()


@pytest.mark.timeout(600)  # a machine that is busy with other tests takes its time
def test_ten_thousand_sessions_are_paged(store: Any, url: str, browser: Browser) -> None:
    fill(url, sessions=MANY, entries=10)
    with served("--url", url) as page:
        browser.open(page)
        assert len(browser.texts("tbody tr")) == 50
        browser.wait_for("#found .summary", "10\u202f000 sessions away", timeout=60.0)
        browser.find("a[rel=next]").click()
        browser.wait_for(".paging", "Page 2 of 200")
        browser.driver.find_element("link text", "Last").click()
        browser.wait_for(".paging", "Page 200 of 200")
        assert len(browser.texts("tbody tr")) == 50
        browser.find("#q").send_keys("sid-777", Keys.ENTER)
        browser.wait_for("#found .summary", "11 sessions away", timeout=60.0)
        browser.open(f"{page}/?sort=sid")
        browser.wait_for("#found .summary", "10\u202f000 sessions away", timeout=60.0)
        browser.wait_for("tbody tr", "sid-0")
        browser.open(f"{page}/sessions/{handle_of(filled_pid(9999))}")
        browser.wait_for("h1", "sid-9999")
        assert browser.complaints() == []


def test_what_a_hostile_client_stored_is_shown_and_does_nothing(
    store: Any, page: str, browser: Browser
) -> None:
    pid = _save(
        store,
        "hostile",
        sid=HOSTILE,
        namespace=f"/{HOSTILE}",
        rooms=(HOSTILE, "x" * 5000),
        data={HOSTILE: [HOSTILE, "</pre></dd><script>window.owned = 1</script>", {"deep": [HOSTILE]}]},
        holder="<img/src=x/onerror=window.owned=1>",
    )
    append_entry(store, [HOSTILE, HOSTILE], namespace=f"/{HOSTILE}", uid=HOSTILE)
    append_entry(store, ["large", "\u202e<b>" * 2**18], namespace=f"/{HOSTILE}")
    paths = ["/", "/stream", "/servers", "/recoveries", f"/sessions/{handle_of(pid)}"]
    for path in [*paths, f"/?q={MARKUP}&room={MARKUP}&namespace={MARKUP}"]:
        browser.open(page + path)
        _is_harmless(browser, path)
    browser.open(f"{page}/sessions/{handle_of(pid)}")
    assert "<script>window.owned = 1</script>" in browser.text("h1")
    assert "\\u202egnp.exe" in browser.text("h1")
    assert "{{7*7}}" in browser.text("h1")
    assert "large" in browser.text("#return")
    browser.open(f"{page}/stream")
    assert "characters)" in browser.text("#entries")
    assert browser.run("return document.documentElement.outerHTML.length") < 200_000
    browser.look(width=360)
    for path in paths:
        browser.open(page + path)
        assert browser.run("return document.documentElement.scrollWidth") == 360, path


def _is_harmless(browser: Browser, path: str) -> None:
    assert browser.run("return window.owned") is None, path
    assert browser.run("return document.querySelectorAll('img, main script, b, iframe').length") == 0, path
    assert not set(browser.text("body")) & set("\u202e\u2066\u200f\x1b\x00"), path
    assert browser.complaints() == [], path


def test_a_page_with_a_token_asks_for_it(url: str, store: Any, browser: Browser) -> None:
    _save(store, "secret")
    with served("--url", url, "--token", TOKEN) as page:
        browser.open(f"{page}/stream")
        browser.wait_for("h1", "This page needs its token")
        assert browser.focused() == "token"
        browser.press(*"wrong", Keys.ENTER)
        browser.wait_for("[role=alert]", "That is not the token.")
        browser.find("#token").send_keys(TOKEN, Keys.ENTER)
        browser.wait_for("#found", "sid-of-secret")
        browser.driver.delete_all_cookies()
        browser.wait_for("#pulse", "The token is needed again")
        browser.open(f"{page}/?token={TOKEN}")
        browser.wait_for("#found", "sid-of-secret")
        assert browser.driver.current_url == f"{page}/"
        assert browser.run("return document.cookie") == ""


def test_a_page_that_nobody_looks_at_asks_for_nothing(page: str, store: Any, browser: Browser) -> None:
    browser.open(page)
    browser.run(COUNT_TIMERS)
    seen = "window.timers = 0; document.dispatchEvent(new Event('visibilitychange')); return window.timers"
    hide = "Object.defineProperty(document, 'hidden', { value: true, configurable: true });"
    assert browser.run(hide + seen) == 0
    _save(store, "hidden")
    assert browser.run(f"delete document.hidden; {seen}") == 1
    browser.wait_for("#found", "sid-of-hidden")
