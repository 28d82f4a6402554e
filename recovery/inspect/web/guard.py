"""The guard of the page: who may ask, by which name, and what a browser may do with the answer.

1. The name in the ``Host`` header is one that this server has. A page of somebody else's whose name was made
   to lead to this machine (DNS rebinding) is refused; an address in digits cannot be made to.
2. With a token, everything but the page's own files needs it: as ``Authorization: Bearer``, or as a cookie,
   which whoever opens ``/?token=...`` once gets in exchange. Tokens are compared in constant time.
3. Only pages of this server may send a form here.
4. No answer is kept, framed, or allowed to load anything from elsewhere.
"""

import hashlib
import hmac
import ipaddress
import re
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["LEAST_TOKEN", "Door", "Guard", "is_loopback"]

LEAST_TOKEN = 16
"""Characters of a token at least."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^][:/?#@\s]+))(?::[0-9]+)?")
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # without any, browsers leave out where our own forms come from
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Tell whether a name leads to this machine only.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Door:
    """Who is let in.

    Attributes:
        token: that is asked for; None for none, which suits an address of this machine only.
        names: besides addresses in digits and ``localhost``.

    >>> door = Door(None, frozenset({"inspector.internal"}))
    >>> [door.knows(host) for host in ("127.0.0.1:8765", "[::1]:80", "Inspector.internal", "evil.example")]
    [True, True, True, False]
    """

    token: str | None
    names: frozenset[str] = frozenset()

    def knows(self, host: str) -> bool:
        """Tell whether a ``Host`` header names this server."""
        name = _without_port(host).lower()
        if name == "localhost" or name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.token is not None or address.is_loopback

    def opens(self, presented: str) -> bool:
        """Tell whether this is the token; takes as long for any other."""
        return self.token is not None and hmac.compare_digest(_digest(presented), _digest(self.token))

    @property
    def cookie(self) -> tuple[str, str]:
        """Name and value of the cookie: made of the token, which is not in it."""
        secret = _digest(self.token or "")
        name = hmac.new(secret, b"name", hashlib.sha256).hexdigest()[:8]  # pages on other ports have others
        return f"socketio_recovery_{name}", hmac.new(secret, b"value", hashlib.sha256).hexdigest()

    def admits(self, headers: Headers) -> bool:
        """Tell whether a request presents the token, or the cookie."""
        if self.token is None:
            return True
        scheme, _, presented = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.opens(presented.strip()):
            return True
        name, value = self.cookie
        return hmac.compare_digest(_cookie(headers, name).encode(), value.encode())


def _without_port(host: str) -> str:
    found = _HOST.fullmatch(host)
    return "" if found is None else found[1] or found[2]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


def _cookie(headers: Headers, name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value


class Guard:
    """Stands before the application."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in _HEADERS.items():
                    headers[name] = value
                message["headers"] = headers.raw
            await send(message)

        answer = self._answer(Request(scope))
        await (answer or self._app)(scope, receive, send_guarded)

    def _answer(self, request: Request) -> Response | None:
        """What is said instead of an answer; None if the request may pass."""
        if not self._door.knows(request.headers.get("host", "")):
            return PlainTextResponse("This server has no such name; see --allow-host.", 421)
        if _is_from_elsewhere(request):
            return PlainTextResponse("Only pages of this server may ask this.", 403)
        presented = request.query_params.get("token")
        if presented is not None and self._door.token is not None:
            return self._exchange(request, presented)
        path = request.url.path
        if path in {"/login", "/static/page.css", "/static/icon.svg"} or self._door.admits(request.headers):
            return None
        if path.startswith("/api"):
            return JSONResponse(
                {"error": "this needs the token, as Authorization: Bearer"},
                401,
                headers={"www-authenticate": "Bearer"},
            )
        return RedirectResponse("/login", 303)

    def _exchange(self, request: Request, presented: str) -> Response:
        """Give the cookie for the token, and an address without it."""
        if not self._door.opens(presented):
            return RedirectResponse("/login?wrong=1", 303)
        rest = [pair for pair in parse_qsl(request.url.query, keep_blank_values=True) if pair[0] != "token"]
        path = f"/{request.url.path.lstrip('/')}"  # two slashes would lead to another host
        response = RedirectResponse(path + (f"?{urlencode(rest)}" if rest else ""), 303)
        give_cookie(response, self._door)
        return response


def give_cookie(response: Response, door: Door) -> None:
    """Let a browser present the cookie from now on; it forgets that when it is closed."""
    name, value = door.cookie
    response.set_cookie(name, value, httponly=True, samesite="strict", path="/")


def _is_from_elsewhere(request: Request) -> bool:
    """Whether another site's page sends a form, or asks in the background."""
    site, mode = request.headers.get("sec-fetch-site"), request.headers.get("sec-fetch-mode")
    if site in {"cross-site", "same-site"} and (mode != "navigate" or request.method != "GET"):
        return True
    origin = request.headers.get("origin")  # browsers send the others to names of this machine, and to TLS
    if request.method == "GET" or origin is None:
        return False
    return origin.partition("://")[2].lower() != request.headers.get("host", "").lower()
