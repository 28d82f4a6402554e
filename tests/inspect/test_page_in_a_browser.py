"""The page in a real browser: every view from every kind of source, for eyes, fingers and keyboards."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest

from recovery.inspect.web.handles import handle_of
from recovery.inspect.web.rendering import HERE
from tests.inspect.chromium import Browser, Keys, served
from tests.inspect.recording import Recorded

CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
OPTIONS = {"live": "--url", "snapshot": "--snapshot", "rdb": "--rdb"}
HEADINGS = {
    "/": "Sessions",
    "/stream": "Stream",
    "/recoveries": "Recoveries",
    "/servers": "Servers",
    "/why": "Why",
}


@pytest.fixture(scope="module")
def pages(places: dict[str, str]) -> Iterator[dict[str, str]]:
    """The address of the page over each kind of source."""
    with ExitStack() as stack:
        yield {kind: stack.enter_context(served(option, places[kind])) for kind, option in OPTIONS.items()}


@pytest.fixture
def live_page(pages: dict[str, str]) -> str:
    return pages["live"]


@pytest.fixture
def page(kind: str, pages: dict[str, str]) -> str:
    return pages[kind]


def _session(recorded: Recorded, name: str) -> str:
    return f"/sessions/{handle_of(recorded[name].pid)}"


def _names(recorded: Recorded) -> set[str]:
    """What sessions may be called: by their sid, and one that has none by its pid's beginning."""
    lefts = recorded.clients.values()
    return {left.sid for left in lefts} | {f"{left.pid[:6]}..." for left in lefts}


def _views(recorded: Recorded) -> list[str]:
    return [*HEADINGS, *(_session(recorded, name) for name in ("ann", "dan", "gus", "ivy")), "/nowhere"]


def test_every_view_is_shown_without_a_complaint(page: str, browser: Browser, recorded: Recorded) -> None:
    for path in _views(recorded)[:-1]:
        browser.open(page + path)
        said = browser.text("h1")
        assert said == HEADINGS[path] if path in HEADINGS else said in _names(recorded)
        resources: list[str] = browser.run(
            "return performance.getEntriesByType('resource').map((e) => e.name)"
        )
        assert len(resources) >= 2
        assert not [name for name in resources if not name.startswith(page)]
        assert browser.complaints() == []


def test_what_is_shown_of_the_recording(page: str, browser: Browser, recorded: Recorded) -> None:
    browser.open(f"{page}/")
    rows = browser.texts("tbody tr")
    assert len(rows) == len(recorded.clients)
    assert [row for row in rows if recorded["ann"].sid in row and "away" in row and "news" in row]
    browser.open(f"{page}/stream")
    assert "headline" in browser.text("#shares")
    assert '["at the end"]' in browser.text("#entries")
    browser.open(f"{page}/servers")
    assert sorted(re.findall(r"[0-9a-f]{16}", browser.text("#servers"))) == recorded.hosts
    browser.open(f"{page}/recoveries")
    assert "Not known." in browser.text("#outcomes")
    assert "recovered" in browser.text("#now")


def test_a_session_tells_its_time_and_what_a_return_would_bring(
    page: str, browser: Browser, recorded: Recorded
) -> None:
    ann = recorded["ann"]
    browser.open(f"{page}{_session(recorded, 'ann')}?offset={ann.offset}")
    assert browser.text("#timeline .label") == "Connection"
    drawn: dict[str, int] = browser.run(
        "const all = {}; for (const each of document.querySelectorAll('#timeline rect'))"
        " all[each.className.baseVal] = (all[each.className.baseVal] ?? 0) + 1; return all"
    )
    assert {"fill-connected", "fill-away", "fill-missed", "fill-lost"} <= set(drawn)
    assert "Its connection closed" in browser.text("#timeline table")
    assert browser.texts("#return .verdict") == ["yes"] * 6
    assert "It would be sent 5 packets." in browser.text("#return")
    assert '["just in time"]' in browser.text("#return")
    browser.find("#unsent summary").click()
    assert "before-joining" in browser.text("#unsent")
    assert '"visits": 3' in browser.text("#about pre")


@pytest.mark.parametrize(
    ("name", "outcome", "advice"),
    [("dan", "disconnected", "on purpose"), ("gus", "session-expired", "Raise max_disconnection_duration")],
)
def test_a_refusal_is_told_in_words(
    page: str, browser: Browser, recorded: Recorded, name: str, outcome: str, advice: str
) -> None:
    browser.open(page + _session(recorded, name))
    assert browser.text("#return .failed .verdict") == "no"
    assert outcome in browser.text("#return .outcome")
    assert advice in browser.text("#return .outcome")
    assert "fresh session" in browser.text("#return")


def test_why_is_answered_for_what_a_client_presents(
    live_page: str, browser: Browser, recorded: Recorded
) -> None:
    browser.open(f"{live_page}/why")
    browser.find("#pid").send_keys(recorded["ann"].pid)
    browser.find("#offset").send_keys("1999999999999-0", Keys.ENTER)
    browser.wait_for(".outcome", "offset-unknown")
    assert recorded["ann"].pid not in browser.driver.current_url
    assert recorded["ann"].sid in browser.text("#return")
    browser.find("#pid").clear()
    browser.find("#pid").send_keys("nobody-was-given-this-one", Keys.ENTER)
    browser.wait_for(".outcome", "session-unknown")


def test_sessions_are_searched_and_filtered(live_page: str, browser: Browser, recorded: Recorded) -> None:
    browser.open(f"{live_page}/")
    browser.find("#q").send_keys("news", Keys.ENTER)
    browser.wait_for("#found .summary", "2 sessions")
    assert browser.find("#q").get_attribute("value") == "news"
    browser.find("#filters summary").click()
    browser.find("input[value=away]").click()
    browser.find("#filters button").click()
    browser.wait_for("#found .summary", "1 session")
    assert recorded["ann"].sid in browser.text("tbody")
    browser.find("#filters a").click()
    browser.wait_for("#found .summary", "8 sessions")
    browser.find("#q").send_keys("\u202e<nobody>", Keys.ENTER)
    browser.wait_for("#found .empty", "No session is like that.")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_can_be_read(
    pages: dict[str, str], browser: Browser, recorded: Recorded, dark: bool
) -> None:
    browser.look(dark=dark)
    for path in _views(recorded):
        browser.open(pages["live"] + path)
        browser.run("for (const each of document.querySelectorAll('details')) each.open = true")
        found = browser.run(CONTRAST)
        assert found["count"] >= 10
        assert found["poor"] == [], path
    ground: str = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 150) is dark


def test_the_measure_of_contrast_can_fail(pages: dict[str, str], browser: Browser) -> None:
    browser.open(pages["live"])
    browser.run("document.querySelector('h1').style.color = '#8a8a8a'")
    assert [what for what, _ in browser.run(CONTRAST)["poor"]] == ["Sessions"]


def _colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_shapes_and_edges_stand_out() -> None:
    sheet = (HERE / "static" / "page.css").read_text(encoding="utf-8")
    light, dark = (_colours(block) for block in re.findall(r":root \{(.*?)\}", sheet, re.DOTALL))
    assert light.keys() == dark.keys()
    for colours in (light, dark):
        for name in (*(name for name in colours if name.startswith("fill-")), "edge"):
            for behind in ("ground", "raised"):
                pair = sorted([_luminance(colours[name]), _luminance(colours[behind])])
                assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 3, (name, behind)


def test_nothing_is_wider_than_a_phone(live_page: str, browser: Browser, recorded: Recorded) -> None:
    browser.look(width=360)
    for path in _views(recorded):
        browser.open(live_page + path)
        browser.run("for (const each of document.querySelectorAll('details')) each.open = true")
        width, outside = browser.run(
            "return [document.documentElement.scrollWidth, [...document.querySelectorAll('body *')]"
            ".filter((each) => each.checkVisibility() && !each.closest('thead, .skip')"
            " && each.getBoundingClientRect().right > 360.5).map((each) => each.outerHTML.slice(0, 80))]"
        )
        assert (width, outside) == (360, []), path
        small: list[str] = browser.run(
            "return [...document.querySelectorAll('button, input:not([type=checkbox]), label.tick, nav a')]"
            ".filter((each) => each.checkVisibility() && each.getBoundingClientRect().height < 24)"
            ".map((each) => each.outerHTML)"
        )
        assert small == []


def test_all_is_done_with_the_keyboard(pages: dict[str, str], browser: Browser, recorded: Recorded) -> None:
    browser.open(pages["live"])
    browser.press(Keys.TAB)
    assert browser.focused() == "Skip to the content"
    browser.press("/", *"sport", Keys.ENTER)
    browser.wait_for("#found .summary", "1 session")
    sid = recorded["bob"].sid
    for _ in range(30):
        browser.press(Keys.TAB)
        outline: str = browser.run("return getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", browser.focused()
        if browser.focused() == sid:
            break
    browser.press(Keys.ENTER)
    browser.wait_for("h1", sid)
    for _ in range(30):
        browser.press(Keys.TAB)
        if browser.focused() == "offset":
            break
    browser.press(*"1999999999999-0", Keys.ENTER)
    browser.wait_for(".outcome", "offset-unknown")
    for _ in range(30):
        browser.press(Keys.TAB)
        if browser.focused() == "pause":
            break
    browser.press(Keys.SPACE)
    browser.wait_for("#pulse", "Paused")
    assert browser.find("#pause").get_attribute("aria-pressed") == "true"


def test_every_control_and_picture_has_a_name(live_page: str, browser: Browser, recorded: Recorded) -> None:
    for path in _views(recorded):
        browser.open(live_page + path)
        nameless: list[str] = browser.run(
            "return [...document.querySelectorAll('input, select, button, a, svg, meter, progress')]"
            ".filter((each) => !(each.labels?.length || each.getAttribute('aria-label') || each.hidden"
            " || each.getAttribute('aria-labelledby') || each.textContent.trim()))"
            ".map((each) => each.outerHTML.slice(0, 100))"
        )
        assert nameless == [], path
        assert browser.run("return document.querySelectorAll('h1').length") == 1


def test_only_what_is_live_says_so(pages: dict[str, str], browser: Browser) -> None:
    for kind, page in pages.items():
        browser.open(page)
        assert (browser.text("#pulse") == "Live") is (kind == "live")
        assert ("as of 20" in browser.text(".place")) is (kind != "live")


def test_an_address_of_no_session_says_so(live_page: str, browser: Browser) -> None:
    browser.open(f"{live_page}/sessions/{quote('<b>nobody</b>')}")
    assert browser.text("h1") == "Not found"
    browser.find("main a").click()
    browser.wait_for("#found .summary", "8 sessions")
