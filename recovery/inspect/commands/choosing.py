"""The options that choose sessions, for every command that has them."""

from typing import Annotated

import typer

from recovery.errors import ConfigurationError
from recovery.inspect.commands.place import NO
from recovery.inspect.listing import Filter, find_session
from recovery.inspect.records import Session, SessionState
from recovery.inspect.sources import Source
from recovery.inspect.words import parse_duration, shown

__all__ = [
    "NamespaceOption",
    "OlderOption",
    "OwnerOption",
    "RoomOption",
    "StateOption",
    "YoungerOption",
    "found_or_exit",
    "wanted",
]

NamespaceOption = Annotated[str | None, typer.Option(help="Only those of this namespace.")]
RoomOption = Annotated[str | None, typer.Option(help="Only those in this room.")]
OwnerOption = Annotated[
    str | None,
    typer.Option(metavar="SERVER", help="Only those of this server; the beginning of its id will do."),
]
StateOption = Annotated[
    list[SessionState] | None, typer.Option(help="Only those in this state; again for others.")
]
OlderOption = Annotated[
    str | None, typer.Option(metavar="DURATION", help="Only those so long in their state: 90, 10m, 2h.")
]
YoungerOption = Annotated[
    str | None, typer.Option(metavar="DURATION", help="Only those not longer in their state.")
]


def wanted(
    namespace: str | None,
    room: str | None,
    owner: str | None,
    state: list[SessionState] | None,
    older: str | None,
    younger: str | None,
) -> Filter:
    """The filter that these options say; raises `ConfigurationError`."""
    try:
        return Filter(
            namespace=namespace,
            room=room,
            owner=owner,
            states=frozenset(state or ()),
            older_ms=None if older is None else parse_duration(older),
            younger_ms=None if younger is None else parse_duration(younger),
        )
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def found_or_exit(source: Source, name: str, now_ms: int) -> Session:
    """The session of this sid, pid, or beginning of a pid; ends the command if there is none."""
    session = find_session(source, name, now_ms=now_ms)
    if session is None:
        typer.echo(f"error: no session has the sid or a pid that begins with {shown(name[:6])}...", err=True)
        raise typer.Exit(NO)
    return session
