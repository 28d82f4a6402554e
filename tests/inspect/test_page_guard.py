"""Who may read the page, and what a browser may do with it."""

import re
from collections.abc import Iterator
from contextlib import closing

import pytest

from recovery.inspect import open_source
from recovery.inspect.web.guard import Door
from recovery.inspect.web.pages import VIEWS
from tests.inspect.browsing import HOST, Visitor, visitor_of
from tests.inspect.commands import run

TOKEN = "a-token-of-this-test"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - it is to be refused
PATHS = [*(path for path in VIEWS if "{" not in path), "/api/sessions", "/static/page.css", "/nowhere"]


@pytest.fixture
def open_page() -> Iterator[Visitor]:
    with closing(open_source("memory://the-guard")) as source:
        yield visitor_of(source)


@pytest.fixture
def closed_page() -> Iterator[Visitor]:
    with closing(open_source("memory://the-guard")) as source:
        yield visitor_of(source, Door(TOKEN, frozenset({"inspector.internal"})))


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_forbids_what_no_page_of_ours_needs(open_page: Visitor, path: str) -> None:
    headers = open_page.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("path", [path for path in PATHS if path.startswith("/") and "api" not in path])
def test_nothing_comes_from_elsewhere_and_nothing_is_inline(open_page: Visitor, path: str) -> None:
    text = open_page.get(path).text
    found: list[str] = re.findall(r"(?:src|href|action)=\"([^\"]*)\"", text) + re.findall(
        r"url\(([^)]*)\)", text
    )
    assert not [address for address in found if re.match(r"\w+:|//", address)]
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|@import", text)


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost", "LOCALHOST:1", "[::1]:8765", "127.9.9.9"])
def test_names_of_this_machine_are_known(open_page: Visitor, host: str) -> None:
    assert open_page.get("/why", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        "192.0.2.7",
        EVERYWHERE,
        "[::1].evil.example",
        "evil.example#localhost",
        "[localhost",
    ],
)
def test_another_name_is_refused(open_page: Visitor, host: str) -> None:
    for path in ("/", "/api/sessions", "/static/page.js"):
        assert open_page.get(path, headers={"host": host}).status_code == 421


def test_with_a_token_addresses_in_digits_and_names_that_were_given_are_known(closed_page: Visitor) -> None:
    def status(host: str) -> int:
        return closed_page.get("/login", headers={"host": host}).status_code

    assert [status(host) for host in ("192.0.2.7:8765", "Inspector.internal", "[2001:db8::1]:80")] == [
        401
    ] * 3
    assert status("evil.example") == 421


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_nothing_is_shown(closed_page: Visitor, path: str) -> None:
    response = closed_page.get(path)
    if path == "/static/page.css":
        assert response.status_code == 200
    elif path.startswith("/api"):
        assert (response.status_code, list(response.json())) == (401, ["error"])
    else:
        assert (response.status_code, response.headers["location"]) == (303, "/login")


@pytest.mark.parametrize("wrong", ["", "a", TOKEN[:-1], f"{TOKEN}x", TOKEN.upper(), "\u00e9" * 20])
def test_a_wrong_token_opens_nothing(closed_page: Visitor, wrong: str) -> None:
    assert closed_page.get("/", params={"token": wrong}).headers["location"] == "/login?wrong=1"
    assert closed_page.post("/login", {"token": wrong}).status_code == 401
    if wrong.isascii():
        header = {"authorization": f"Bearer {wrong}"}
        assert closed_page.get("/api/sessions", headers=header).status_code == 401
    assert not closed_page.cookies
    closed_page.cookies.set(Door(TOKEN).cookie[0], wrong.encode().hex())
    assert closed_page.get("/api/sessions").status_code == 401


def test_the_token_opens_as_a_header(closed_page: Visitor) -> None:
    response = closed_page.get("/api/sessions", headers={"authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 200
    assert not closed_page.cookies


def test_the_token_in_an_address_is_exchanged_for_a_cookie_once(closed_page: Visitor) -> None:
    response = closed_page.get(f"/?q=news&token={TOKEN}&state=away")
    assert (response.status_code, response.headers["location"]) == (303, "/?q=news&state=away")
    cookie = response.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/"))
    assert TOKEN not in cookie
    assert closed_page.get("/").status_code == 200
    assert closed_page.get("/api/sessions").status_code == 200


def test_the_exchange_leads_nowhere_else(closed_page: Visitor) -> None:
    location = closed_page.get(f"http://{HOST}//evil.example/?token={TOKEN}").headers["location"]
    assert location.startswith("/")
    assert not location.startswith("//")


def test_the_form_gives_the_cookie(closed_page: Visitor) -> None:
    assert closed_page.post("/login", {"token": TOKEN}).headers["location"] == "/"
    assert closed_page.get("/").status_code == 200


def test_a_cookie_of_another_token_opens_nothing(closed_page: Visitor) -> None:
    closed_page.cookies.set(*Door("another-token-of-this-test").cookie)
    assert closed_page.get("/api/sessions").status_code == 401


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", {}, 200),
        ("POST", {"origin": f"http://{HOST}"}, 200),
        ("POST", {"origin": "http://evil.example"}, 403),
        ("POST", {"origin": "null"}, 403),
        ("POST", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 403),
        ("GET", {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}, 403),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
        ("GET", {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, 200),
    ],
)
def test_other_sites_may_lead_here_and_not_ask(
    open_page: Visitor, method: str, headers: dict[str, str], status: int
) -> None:
    response = (
        open_page.post("/why", {"pid": "x"}, headers=headers)
        if method == "POST"
        else open_page.get("/why", headers=headers)
    )
    assert response.status_code == status


def test_a_form_has_a_bound(open_page: Visitor) -> None:
    assert open_page.post("/why", {"pid": "x" * 20_000}).status_code == 400


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--host", EVERYWHERE), "set --token"),
        (("--host", "192.0.2.7"), "set --token"),
        (("--host", "::"), "set --token"),
        (("--host", EVERYWHERE, "--token", "short"), "16 at least"),
        (("--host", "not an address"), "set --token"),
        (("--host", "192.0.2.7", "--token", TOKEN), "cannot listen on 192.0.2.7"),
    ],
)
def test_other_addresses_need_a_token(options: tuple[str, ...], said: str) -> None:
    answer = run("web", "--url", "memory://the-guard", "--port", "0", *options)
    assert answer.status == 2
    assert said in answer.err
