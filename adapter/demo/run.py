"""The demo from start to end: a store, two servers, clients that break their connections, the verdict."""

import asyncio
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console

from adapter.demo.client import ConnectRefusedError, ProtocolError
from adapter.demo.play import Options, Play
from adapter.demo.processes import ServerDiedError
from adapter.demo.result import Result
from adapter.demo.screen import LineScreen, LiveScreen, Screen, SilentScreen
from adapter.demo.store import shared_store
from recovery.errors import RecoveryError

__all__ = ["run_command", "run_demo"]

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def run_command(options: Options, *, json: bool) -> int:
    """Run the demo for a person, or for a program that reads JSON; return the exit status.

    Args:
        json: print the result as JSON; progress then goes to standard error, if that is a terminal.
    """
    progress = Console(stderr=json, highlight=False)
    try:
        result = run_demo(options, _screen_for(progress, json=json))
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED
    except (RecoveryError, ServerDiedError, ProtocolError, ConnectRefusedError, OSError) as exc:
        print(f"The demo failed: {exc}", file=sys.stderr)
        return 1
    if json:
        print(result.as_json())
    else:
        progress.print(result.as_table())
    return 0 if result.ok else 1


def _screen_for(console: Console, *, json: bool) -> Screen:
    if console.is_terminal:
        return LiveScreen(console)
    return SilentScreen() if json else LineScreen(console)


def run_demo(options: Options, screen: Screen) -> Result:
    """Run it all; nothing is left running, whether this returns or raises.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM.
        ServerDiedError: a server process did not start, or ended.
        RecoveryError: there is no store; see `shared_store`.
    """
    with _interruptible(), screen.showing():
        screen.say("Starting a store ...")
        with shared_store(options.url) as store:
            return asyncio.run(Play(options, store, screen).run())


@contextmanager
def _interruptible() -> Generator[None]:
    """Let SIGTERM, and the loss of the terminal, do what Ctrl-C does, so that nothing is left behind.

    Ctrl-C works even where a shell has this process ignore it, as scripts do in the background.
    """

    def interrupt(_number: int, _frame: object) -> None:
        signal.raise_signal(signal.SIGINT)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
