"""The application that `socketio-recovery web` serves."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from anyio import to_thread
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from recovery.errors import MalformedError, SourceError, StoreError
from recovery.inspect.web.answers import NotFoundError, api_routes, json_response
from recovery.inspect.web.asking import read_form
from recovery.inspect.web.desk import Desk
from recovery.inspect.web.guard import Door, Guard, give_cookie
from recovery.inspect.web.keeping import Kept
from recovery.inspect.web.pages import VIEWS, View, answer_why
from recovery.inspect.web.rendering import HERE, render

__all__ = ["build_page"]

_PAGES_KEPT = 32
_VIEWS_AT_ONCE = 4  # each may hold as much of the stream as a server's replay log

Endpoint = Callable[[Request], Response]
AsyncEndpoint = Callable[[Request], Coroutine[Any, Any, Response]]


def build_page(desk: Desk, door: Door) -> ASGIApp:
    """Make the application.

    Args:
        desk: what it shows.
        door: who may look.
    """
    kept: Kept[str] = Kept(_PAGES_KEPT, stands_still=desk.stands_still)
    routes = [
        Mount("/static", StaticFiles(directory=HERE / "static")),
        *api_routes(desk),
        *(Route(path, _shows(desk, kept, path)) for path in VIEWS),
        Route("/why", _why(desk), methods=["POST"]),
        Route("/login", _login(door), methods=["GET", "POST"]),
    ]
    trouble = _trouble(desk)
    app = Starlette(
        routes=routes,
        lifespan=_bounded,
        exception_handlers={
            StoreError: trouble,
            SourceError: trouble,
            MalformedError: trouble,
            HTTPException: trouble,
        },
    )
    return Guard(app, door)


@asynccontextmanager
async def _bounded(_app: Starlette) -> AsyncGenerator[None]:
    """Views run in threads; let there be few."""
    to_thread.current_default_thread_limiter().total_tokens = _VIEWS_AT_ONCE
    yield


def _page(desk: Desk, title: str, template: str, **context: Any) -> str:
    place = desk.source.place
    return render(
        template,
        title=title,
        place=place,
        is_live=desk.source.is_live,
        stream_name=desk.stream_name,
        at_ms=desk.now_ms() if desk.stands_still else None,
        **{"busy": False, **context},
    )


def _shows(desk: Desk, kept: Kept[str], path: str) -> Endpoint:
    title, template, view = VIEWS[path]

    def show(request: Request) -> Response:
        def find() -> str:
            return _filled(desk, request, title, template, view)

        if view is VIEWS["/"][2]:  # surveys are bounded by themselves, and have to go on
            return HTMLResponse(find())
        return HTMLResponse(kept.get((request.url.path, request.url.query), find))

    return show


def _filled(desk: Desk, request: Request, title: str, template: str, view: View) -> str:
    name = request.path_params.get("name", "")
    return _page(desk, title, template, **view(desk, request.query_params, name))


def _why(desk: Desk) -> AsyncEndpoint:
    async def why(request: Request) -> Response:
        form = await read_form(request)
        context = await run_in_threadpool(answer_why, desk, form)
        return HTMLResponse(_page(desk, "Why", "why.html", **context))

    return why


def _login(door: Door) -> AsyncEndpoint:
    async def login(request: Request) -> Response:
        if door.token is None:
            return RedirectResponse("/", 303)
        wrong = "wrong" in request.query_params
        if request.method == "POST":
            if door.opens((await read_form(request)).get("token", "")):
                response = RedirectResponse("/", 303)
                give_cookie(response, door)
                return response
            wrong = True
        return HTMLResponse(render("login.html", wrong=wrong), 401)

    return login


def _trouble(desk: Desk) -> Callable[[Request, Exception], Response]:
    def trouble(request: Request, error: Exception) -> Response:
        status, said = _said(error)
        if request.url.path.startswith("/api"):
            return json_response({"error": said}, status)
        context = {"title": "Trouble", "place": desk.source.place, "said": said, "busy": status == 503}
        return HTMLResponse(
            render(
                "trouble.html",
                is_live=desk.source.is_live,
                stream_name=desk.stream_name,
                at_ms=None,
                status=status,
                **context,
            ),
            status,
        )

    return trouble


def _said(error: Exception) -> tuple[int, str]:
    if isinstance(error, HTTPException):
        return error.status_code, error.detail
    if isinstance(error, NotFoundError):
        return 404, str(error)
    return (400 if isinstance(error, MalformedError) else 503), str(error)
