"""`web`: the page, served on this machine or, with a token, to others."""

import importlib.util
import socket
from collections.abc import Callable
from contextlib import closing
from typing import Annotated

import typer

from recovery.aio.roll_call import Roll
from recovery.errors import ConfigurationError
from recovery.inspect.commands.output import print_json
from recovery.inspect.commands.place import Place, at_a_place, examples
from recovery.inspect.servers import ask_servers
from recovery.inspect.sources import Source
from recovery.offsets import ORIGIN

__all__ = ["add_web"]

_PACKAGES = ("jinja2", "starlette", "uvicorn")
_MOST_AT_ONCE = 100  # requests
_SECONDS_TO_END = 3
_PATIENCE = 1.0  # seconds with servers that do not answer


def add_web(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            "web --url redis://localhost",
            "web --snapshot incident.snapshot --port 9000",
            "web --url redis://store --host 0.0.0.0 --allow-host inspector.internal",
        )
    )
    @at_a_place
    def web(
        place: Place,
        host: Annotated[
            str, typer.Option(help="Address to listen on; another than this machine's own needs a token.")
        ] = "127.0.0.1",
        port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 8765,
        token: Annotated[
            str | None,
            typer.Option(
                envvar="SOCKETIO_RECOVERY_TOKEN",
                metavar="TOKEN",
                help="What others must present: 16 characters or more. Better in the environment than here.",
            ),
        ] = None,
        allow_host: Annotated[
            list[str] | None,
            typer.Option(metavar="NAME", help="A name by which browsers reach the page; again for others."),
        ] = None,
    ) -> None:
        """Serve a page: sessions, their timelines, why not, the stream, recoveries and servers.

        It reads, and listens on this machine only. On another address it asks for a token: open
        `/?token=TOKEN` once, and a cookie keeps it until the browser is closed. There is no TLS here: put a
        proxy in front, or use `ssh -L`. The same answers in JSON are under `/api`, described by
        `/api/openapi.json`. It ends with Ctrl+C.
        """
        _check(host, token)
        with place.opened() as source:
            from recovery.inspect.web.app import build_page  # noqa: PLC0415 - needs the extra
            from recovery.inspect.web.desk import Desk  # noqa: PLC0415 - as above
            from recovery.inspect.web.guard import Door  # noqa: PLC0415 - as above

            at_ms = None if place.at is None else place.now_ms(source)
            roll = _roll_of(place, source)
            desk = Desk(source, place.timing, reveal=place.reveal, at_ms=at_ms, roll=roll)
            door = Door(token, frozenset(name.lower() for name in allow_host or ()))
            with closing(_listening(host, port)) as listener:
                _say(listener, as_json=place.json, with_token=token is not None)
                _serve(build_page(desk, door), listener)


def _roll_of(place: Place, source: Source) -> Callable[[], Roll] | None:
    """How to ask the servers; None if the source is a file."""
    url, settings = place.url, place.timing.settings
    if url is None or not source.is_live or url.lower().startswith("embedded:"):  # whose server is ours alone
        return None

    def ask() -> Roll:
        state = source.stream()
        newest = ORIGIN if state is None else state.last
        return ask_servers(url, settings, newest=newest, patience=_PATIENCE)

    return ask


def _check(host: str, token: str | None) -> None:
    missing = [package for package in _PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise ConfigurationError(
            f"the page needs {', '.join(missing)}, not installed here: pip install 'socketio-recovery[web]'"
        )
    from recovery.inspect.web.guard import LEAST_TOKEN, is_loopback  # noqa: PLC0415 - needs the extra

    if token is not None and len(token) < LEAST_TOKEN:
        raise ConfigurationError(f"the token has {len(token)} characters, expected {LEAST_TOKEN} at least")
    if token is None and not is_loopback(host):
        raise ConfigurationError(
            f"{host} is reached by others, and whoever reads the page sees sessions and their data:"
            " set --token, or listen on 127.0.0.1"
        )


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}"
        ) from error


def _say(listener: socket.socket, *, as_json: bool, with_token: bool) -> None:
    """Tell where the page is; it can be opened from now on."""
    host, port, *_ = listener.getsockname()
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    if as_json:
        print_json({"url": url, "needs_token": with_token})
        return
    typer.echo(f"The page is at {url}" + ("?token=TOKEN, once with your token" if with_token else ""))
    typer.echo("Ctrl+C ends it.", err=True)


def _serve(page: object, listener: socket.socket) -> None:
    import uvicorn  # noqa: PLC0415 - needs the extra

    config = uvicorn.Config(
        page,  # type: ignore[arg-type] # an ASGI application; its type needs the extra
        access_log=False,  # addresses may hold a token
        limit_concurrency=_MOST_AT_ONCE,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_SECONDS_TO_END,
        ws="none",
    )
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:  # how it is meant to end
        return
