"""The command ``socketio-recovery``: the demo, the bridge, and the inspector (`recovery.inspect.commands`).

Its packages are extras, which a server does not need; without them it says what to install.
"""

import importlib.util
import secrets
import sys
from typing import TYPE_CHECKING, Annotated

if TYPE_CHECKING:
    import typer

__all__ = ["build_app", "main"]

_CLI_PACKAGES = ("typer", "rich")
_DEMO_PACKAGES = (*_CLI_PACKAGES, "uvicorn", "websockets")
_HOW_TO_INSTALL = "pip install 'socketio-recovery[{extra}]'"


def main() -> None:
    """Run the command with the arguments of this process, and exit with its status."""
    _require(_CLI_PACKAGES, extra="inspect,demo")
    build_app()()


def _require(packages: tuple[str, ...], *, extra: str) -> None:
    """Exit with advice if one of these packages is not installed."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        advice = _HOW_TO_INSTALL.format(extra=extra)
        sys.exit(f"this command needs {', '.join(missing)}, not installed here. Run:\n    {advice}")


def build_app() -> "typer.Typer":
    """Make the typer application; typer must be installed."""
    import typer  # noqa: PLC0415 - an extra

    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

    @app.callback()
    def describe() -> None:
        """Connection state recovery for python-socketio servers."""

    _add_demo(app)
    from adapter.bridge_command import add_bridge  # noqa: PLC0415 - needs the extra
    from recovery.inspect.commands.app import add_commands  # noqa: PLC0415 - as above

    add_commands(app)
    add_bridge(app)
    return app


def _add_demo(app: "typer.Typer") -> None:
    import typer  # noqa: PLC0415 - as above

    @app.command()
    def demo(
        *,
        seconds: Annotated[float, typer.Option(min=1.0, help="How long to break connections.")] = 15.0,
        clients: Annotated[int, typer.Option(min=1, help="How many clients to run.")] = 30,
        url: Annotated[
            str | None,
            typer.Option(
                help="A Redis or Valkey server to use, redis://... [default: start an embedded one]"
            ),
        ] = None,
        json: Annotated[
            bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")
        ] = False,
        seed: Annotated[
            str | None,
            typer.Option(help="Repeat the traffic and the breaks of an earlier run. [default: random]"),
        ] = None,
        without_recovery: Annotated[
            bool, typer.Option("--without-recovery", help="Run stock python-socketio, to see what is lost.")
        ] = False,
    ) -> None:
        """Break connections while traffic flows, and see that nothing is lost.

        Starts two servers with a store in common and some clients in this process, and needs nothing
        running. Exits with 1 if a packet was lost, doubled, out of order or at the wrong client, or a
        session was not given back.
        """
        _require(_DEMO_PACKAGES, extra="demo")
        from adapter.demo.play import Options  # noqa: PLC0415 - needs the extra
        from adapter.demo.run import run_command  # noqa: PLC0415 - as above

        options = Options(
            seconds=seconds,
            clients=clients,
            url=url,
            seed=seed or secrets.token_hex(3),
            recovery=not without_recovery,
        )
        raise typer.Exit(run_command(options, json=json))
