"""`servers`: who is in the cluster, and how far each reader has come."""

from typing import Annotated

import typer

from recovery.aio.roll_call import Roll
from recovery.errors import ConfigurationError
from recovery.inspect.commands.output import print_json, print_table
from recovery.inspect.commands.place import FOUND_TROUBLE, Place, at_a_place, examples
from recovery.inspect.forms import roll_form
from recovery.inspect.servers import ask_servers
from recovery.inspect.words import duration, shown
from recovery.offsets import ORIGIN
from recovery.peers import ServerRecord

__all__ = ["add_servers", "ask_at"]


def ask_at(place: Place, patience: float) -> Roll:
    """Ask all servers of a place for a word; raises `ConfigurationError` if it is a file."""
    if place.url is None or place.snapshot is not None or place.rdb is not None:
        raise ConfigurationError("a file does not know which servers run: choose --url URL")
    with place.opened() as source:
        state = source.stream()
    newest = ORIGIN if state is None else state.last
    return ask_servers(place.url, place.timing.settings, newest=newest, patience=patience)


def add_servers(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            "servers --url redis://localhost",
            "servers --url redis://localhost --set use_sharded_pubsub=true --json",
        )
    )
    @at_a_place
    def servers(
        place: Place,
        timeout: Annotated[
            float, typer.Option(min=0.0, help="Seconds to wait for servers that do not answer.")
        ] = 2.0,
    ) -> None:
        """Ask all servers for a word: who runs, Node's or ours, with how many clients, how far behind.

        Exits with 1 if a server that is connected did not answer. Only a live store can be asked; with an ACL
        user this needs the channels, see docs/explanation/security.md.
        """
        roll = ask_at(place, timeout)
        if place.json:
            print_json(roll_form(roll))
        else:
            _show(roll.servers, roll.silent)
        if roll.silent:
            raise typer.Exit(FOUND_TROUBLE)


def _show(servers: tuple[ServerRecord, ...], silent: int) -> None:
    rows = [
        (
            each.server,
            each.kind.value,
            shown(each.name),
            "" if each.clients is None else str(each.clients),
            "" if each.lag is None else duration(each.lag * 1000),
        )
        for each in servers
    ]
    print_table(("server", "runs", "name", "clients:", "behind:"), rows)
    if silent:
        typer.echo(f"{silent} more listened and did not answer: frozen, overloaded, or no server at all")
    elif not servers:
        typer.echo("nobody answers: no server runs, or their settings differ (--set channel_prefix=...)")
