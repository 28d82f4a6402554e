"""Recipes: how a page of the documentation has an application served, and what that needs here."""

from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import DOCS, blocks
from tests.frameworks.serving import Process, Site

__all__ = [
    "ADMIN",
    "AIOHTTP",
    "ANNOUNCE",
    "ANNOUNCE_SYNC",
    "ASGI",
    "CELERY",
    "DJANGO",
    "DJANGO_WSGI",
    "ELSEWHERE",
    "FASTAPI",
    "FLASK",
    "FLASK_GEVENT",
    "GUNICORN",
    "HOW_TO",
    "ONE_PROCESS",
    "PAGES",
    "RECIPES",
    "SANIC",
    "THREADED",
    "TORNADO",
    "Recipe",
    "commands_on",
]

HOW_TO = DOCS / "how-to"
PAGES = [
    *sorted(HOW_TO.glob("serve-*.md")),
    HOW_TO / "emit-from-another-process.md",
    HOW_TO / "use-the-admin-ui.md",
]
ELSEWHERE = ("celery", "litestar", "sanic")
"""Packages that are not in the extra ``dev``, and have an environment of their own in the tests.

Sanic brings another event loop, which uvicorn would run on in all tests, Litestar a plugin of pytest, and
Celery wants older releases of others.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One way to serve an application.

    Attributes:
        page: file name of the page.
        files: of that page, or of one that it names.
        command: a line of the page.
        package: what must be installed, here or `ELSEWHERE`.
        leftover: what the framework itself complains of at exit, with a stock server, too.
        changes: what the page says has to be changed in a file of another page: its name, old and new text.
    """

    page: str
    files: tuple[str, ...]
    command: str
    package: str
    leftover: tuple[str, ...] = ()
    changes: tuple[tuple[str, str, str], ...] = ()

    def __str__(self) -> str:
        program = next(word for word in self.command.split() if "=" not in word)
        return f"{program}-{self.package}"

    def prepare(self, site: Site) -> None:
        """Put the files of the page into a site, and have it run where the framework is installed."""
        if self.package in ELSEWHERE:
            site.go_elsewhere()
        if self.package == "django":
            site.run("django-admin startproject mysite .")
        site.add(*self.files)
        for change in self.changes:
            site.replace(*change)

    def complaints(self, process: Process) -> list[str]:
        """What a process has complained of, and the framework has not."""
        lines = process.complaints()
        return [line for line in lines if not any(each in line for each in self.leftover)]


def commands_on(page: Path) -> list[str]:
    """The lines of a page that are typed into a shell."""
    return [line for block in blocks(page) if block.language == "sh" for line in block.text.splitlines()]


_LISTENER = "ResourceWarning: unclosed <socket.socket fd=3,"  # of the process that watches uvicorn's workers
# It does not close a WebSocket that opens in the moment in which it stops (0.54), and waits for it.
_CANCELLED = "timeout graceful shutdown exceeded"


def _uvicorn(package: str) -> Recipe:
    return Recipe(
        page="serve-an-asgi-application.md",
        files=("realtime.py", f"{package}_app.py"),
        command=f"uvicorn {package}_app:app --port 8000 --workers 2 --timeout-graceful-shutdown 5",
        package=package,
        leftover=(_LISTENER, _CANCELLED),
    )


FASTAPI = _uvicorn("fastapi")
GUNICORN = Recipe(
    page="serve-an-asgi-application.md",
    files=("realtime.py", "fastapi_app.py"),
    command=(
        "gunicorn -k uvicorn_worker.UvicornWorker -w 2 --graceful-timeout 5 -b 127.0.0.1:8000 fastapi_app:app"
    ),
    package="uvicorn_worker",
    leftover=("was sent SIGKILL", "unclosed file <_io.FileIO"),  # see _CANCELLED: gunicorn kills that worker
)
DJANGO = Recipe(
    page="serve-with-django.md",
    files=("realtime.py", "mysite/asgi.py"),
    command="uvicorn mysite.asgi:application --port 8000 --workers 2 --timeout-graceful-shutdown 5",
    package="django",
    leftover=(_LISTENER, _CANCELLED),
)
ASGI = [
    FASTAPI,
    _uvicorn("starlette"),
    _uvicorn("litestar"),
    GUNICORN,
    DJANGO,
]
AIOHTTP = Recipe(
    page="serve-with-aiohttp.md",
    files=("aiohttp_app.py",),
    command="python aiohttp_app.py",
    package="aiohttp",
)
TORNADO = Recipe(
    page="serve-with-tornado.md",
    files=("tornado_app.py",),
    command="python tornado_app.py",
    package="tornado",
)
SANIC = Recipe(
    page="serve-with-sanic.md",
    files=("sanic_app.py",),
    command="sanic sanic_app:app --port 8000",
    package="sanic",
    leftover=("Task was destroyed but it is pending!",),
)
_GEVENT = "-k geventwebsocket.gunicorn.workers.GeventWebSocketWorker -w 2 -b 127.0.0.1:8000"
ANNOUNCE_SYNC = Recipe(
    page="emit-from-another-process.md",
    files=("announce_sync.py",),
    command='python announce_sync.py "read all about it"',
    package="adapter",
)
CELERY = Recipe(
    page="emit-from-another-process.md",
    files=("tasks.py",),
    command="celery -A tasks worker",
    package="celery",
    leftover=("SecurityWarning",),  # it does not like to be run by root
)
FLASK = Recipe(
    page="serve-with-flask-socketio.md",
    files=("flask_app.py", "gunicorn.conf.py"),
    command="gunicorn -w 2 --threads 100 -b 127.0.0.1:8000 flask_app:app",
    package="flask_socketio",
)
FLASK_GEVENT = Recipe(
    page="serve-with-flask-socketio.md",
    files=("flask_app.py", "gunicorn.conf.py"),
    command=f"ASYNC_MODE=gevent gunicorn {_GEVENT} flask_app:app",
    package="geventwebsocket",
)
DJANGO_WSGI = Recipe(
    page="serve-with-django.md",
    files=("realtime_wsgi.py", "mysite/wsgi.py", "gunicorn.conf.py"),
    command="gunicorn -w 2 --threads 100 -b 127.0.0.1:8000 mysite.wsgi:application",
    package="django",
    changes=(("gunicorn.conf.py", "from flask_app import", "from realtime_wsgi import"),),
)
THREADED = [FLASK, FLASK_GEVENT, DJANGO_WSGI]
ADMIN = Recipe(
    page="use-the-admin-ui.md",
    files=("admin_app.py",),
    command="uvicorn admin_app:app --port 8000",
    package="uvicorn",
)
ANNOUNCE = Recipe(
    page="emit-from-another-process.md",
    files=("announce.py",),
    command='python announce.py "read all about it"',
    package="adapter",
)
ONE_PROCESS = [AIOHTTP, TORNADO, SANIC]
RECIPES = [*ASGI, *THREADED, *ONE_PROCESS, ADMIN, ANNOUNCE, ANNOUNCE_SYNC, CELERY]
