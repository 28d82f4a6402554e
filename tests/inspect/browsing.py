"""The page as tests ask it: in this process, without a network."""

import asyncio
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager

import httpx
from starlette.types import ASGIApp

from recovery.inspect import Source, Timing, open_source
from recovery.inspect.web.app import build_page
from recovery.inspect.web.desk import Desk
from recovery.inspect.web.guard import Door
from recovery.settings import Settings
from tests.inspect.recording import WINDOW

__all__ = ["TIMING", "Visitor", "opened", "visitor_of"]

TIMING = Timing(Settings(max_disconnection_duration=WINDOW, checkpoint_interval=0.2))
HOST = "127.0.0.1:8765"


class Visitor:
    """Asks a page, and keeps its cookies; follows no redirection."""

    def __init__(self, page: ASGIApp) -> None:
        self.cookies = httpx.Cookies()
        self._page = page

    def get(
        self, path: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Ask for a path."""
        return asyncio.run(self._send("GET", path, params=params, headers=headers))

    def post(
        self, path: str, data: Mapping[str, str] | None = None, *, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send a form."""
        return asyncio.run(self._send("POST", path, data=data, headers=headers))

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self._page, raise_app_exceptions=True)
        async with httpx.AsyncClient(
            transport=transport, base_url=f"http://{HOST}", cookies=self.cookies
        ) as client:
            response = await client.request(method, path, params=params, data=data, headers=headers)
            self.cookies = client.cookies
            return response


def visitor_of(source: Source, door: Door | None = None, *, reveal: bool = False) -> Visitor:
    """A visitor of a page that shows a source."""
    return Visitor(build_page(Desk(source, TIMING, reveal=reveal), door or Door(None)))


@contextmanager
def opened(place: str, *, reveal: bool = False) -> Generator[Visitor]:
    """A visitor of a page that shows a place."""
    with closing(open_source(place)) as source:
        yield visitor_of(source, reveal=reveal)
