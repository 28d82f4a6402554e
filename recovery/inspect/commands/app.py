"""All commands of the inspector, for the command ``socketio-recovery``."""

import typer

from recovery.inspect.commands.doctor import add_doctor
from recovery.inspect.commands.reconnections import add_reconnections
from recovery.inspect.commands.servers import add_servers
from recovery.inspect.commands.sessions import add_sessions
from recovery.inspect.commands.stream import add_stream
from recovery.inspect.commands.transfers import add_transfers
from recovery.inspect.commands.watch import add_watch
from recovery.inspect.commands.web import add_web

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Add them to an application."""
    add_sessions(app)
    add_reconnections(app)
    add_stream(app)
    add_transfers(app)
    add_servers(app)
    add_watch(app)
    add_doctor(app)
    add_web(app)
