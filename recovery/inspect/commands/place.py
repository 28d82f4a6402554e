"""Where a command reads from, and how it answers: the options that all commands have, defined once."""

import inspect
import logging
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from recovery.errors import ConfigurationError, MalformedError, SourceError, StoreError
from recovery.inspect.listing import Timing
from recovery.inspect.opening import open_dump_source, open_live_source, open_snapshot_source
from recovery.inspect.snapshots import SnapshotSource
from recovery.inspect.sources import Source
from recovery.inspect.words import parse_moment, shown
from recovery.settings import Settings
from recovery.stores.redis.keys import Keys

__all__ = [
    "FOUND_TROUBLE",
    "MAY_BEGIN_WITH_A_HYPHEN",
    "NO",
    "PLACE_OPTIONS",
    "UNREADABLE",
    "USAGE",
    "Place",
    "at_a_place",
    "examples",
    "reports_errors",
]

NO = FOUND_TROUBLE = 1
"""Exit status: answered, and the answer is no: there is no such session, it would not be recovered, two
sources
differ, something is wrong with the deployment, or a question was answered with no."""

USAGE = 2
"""Exit status: the command was not understood."""

UNREADABLE = 3
"""Exit status: the source cannot be read: nobody answers, no right, a damaged file, one too new."""

MAY_BEGIN_WITH_A_HYPHEN = {"ignore_unknown_options": True}
"""For commands whose argument is an id: one in 64 begins so, and is no option."""

_SETTINGS = {setting.name: setting for setting in fields(Settings)}
_PINGS = ("ping_interval", "ping_timeout")


@dataclass(frozen=True, slots=True)
class Place:
    """The options of all commands; the comment on each is its help."""

    url: Annotated[
        str | None,
        typer.Option(
            envvar="SOCKETIO_RECOVERY_URL",
            help="A live store: redis://, rediss://, unix://, valkey://, redis+sentinel://HOSTS/SERVICE,"
            " or embedded://PATH.",
        ),
    ] = None
    snapshot: Annotated[Path | None, typer.Option(help="A file that `export` wrote.")] = None
    rdb: Annotated[
        Path | None,
        typer.Option(help="An RDB file of Redis or Valkey, or an append-only file (or its folder)."),
    ] = None
    db: Annotated[int, typer.Option(min=0, help="With --rdb: number of the database.")] = 0
    stream_name: Annotated[str, typer.Option(help="As the servers are set.")] = Settings().stream_name
    session_key_prefix: Annotated[str, typer.Option(help="As the servers are set.")] = (
        Settings().session_key_prefix
    )
    settings: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of the servers that is not its default; again for others. Also ping_interval and"
            " ping_timeout.",
        ),
    ] = field(default_factory=list[str])
    at: Annotated[
        str | None,
        typer.Option(
            help="Answer as of this moment: ms since 1970, or ISO 8601."
            " [default: now, or when a file was written]"
        ),
    ] = None
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show pids whole; whoever has one has the session.")
    ] = False
    json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False

    @property
    def keys(self) -> Keys:
        """The names of keys."""
        return Keys(self.stream_name, self.session_key_prefix)

    @contextmanager
    def opened(self) -> Generator[Source]:
        """Open the source that was chosen, and close it at the end.

        Raises:
            ConfigurationError: none was chosen, or more than one.
        """
        # A URL of the environment gives way to a file of the command line.
        chosen = [each for each in (self.snapshot, self.rdb) if each is not None]
        if len(chosen) > 1 or (not chosen and self.url is None):
            raise ConfigurationError("choose one source: --url URL, --snapshot FILE or --rdb FILE")
        source = self._open()
        if isinstance(source, SnapshotSource) and source.note:
            typer.echo(f"note: in this snapshot {shown(source.note)}", err=True)
        try:
            yield source
        finally:
            source.close()

    def _open(self) -> Source:
        if self.snapshot is not None:
            return open_snapshot_source(self.snapshot)
        if self.rdb is not None:
            return open_dump_source(self.rdb, self.keys, database=self.db)
        assert self.url is not None, "the caller has looked"
        return open_live_source(self.url, self.keys)

    def now_ms(self, source: Source) -> int:
        """The moment that is asked about."""
        return source.now_ms() if self.at is None else _usable(parse_moment, self.at)

    @property
    def timing(self) -> Timing:
        """The servers' settings, as far as they were given; raises `ConfigurationError`."""
        given: dict[str, Any] = {
            "stream_name": self.stream_name,
            "session_key_prefix": self.session_key_prefix,
        }
        pings: dict[str, float] = {}
        for text in self.settings:
            name, found, value = text.partition("=")
            if not found or (name not in _SETTINGS and name not in _PINGS):
                raise ConfigurationError(f"--set {text!r}: expected NAME=VALUE with the name of a setting")
            if name in _PINGS:
                pings[name] = _usable(float, value)
            else:
                given[name] = _value_of(name, value)
        return Timing(Settings(**given), **pings)


PLACE_OPTIONS = frozenset(each.name for each in fields(Place))
"""Names of the parameters that `at_a_place` gives to a command."""


def _value_of(name: str, text: str) -> Any:  # as the setting's type is, which is checked with all others
    kind = str(_SETTINGS[name].type)
    if "str" in kind:
        return text
    if text == "None" and "None" in kind:
        return None
    if "bool" in kind:
        return _usable(_bool, text)
    return _usable(int if "int" in kind else float, text)


def _bool(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError(f"expected true or false, not {text!r}")
    return text.lower() == "true"


def _usable(read: Callable[[str], Any], text: str) -> Any:  # what `read` returns
    try:
        return read(text)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def examples(*commands: str) -> str:
    """What stands at the end of a command's help."""
    return "\n\n".join(["Examples:", *(f"socketio-recovery {command}" for command in commands)])


def at_a_place(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, whose first parameter is a `Place`, the options of `Place` besides its own."""
    own = list(inspect.signature(command).parameters.values())[1:]
    hints = get_type_hints(Place, include_extras=True)
    options = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default if each.default is not MISSING else [],
            annotation=hints[each.name],
        )
        for each in fields(Place)
    ]

    @wraps(command)
    def with_place(*args: Any, **kwargs: Any) -> None:
        place = Place(**{each.name: kwargs.pop(each.name) for each in fields(Place)})
        with reports_errors():
            command(place, *args, **kwargs)

    kept = {
        name: hint for name, hint in get_type_hints(command, include_extras=True).items() if name != "place"
    }
    setattr(with_place, "__signature__", inspect.Signature([*own, *options]))  # noqa: B010 - what typer reads
    with_place.__annotations__ = {**kept, **{option.name: option.annotation for option in options}}
    return with_place


@contextmanager
def reports_errors() -> Generator[None]:
    """End the command with one line and its status where something cannot be done."""
    logging.getLogger("recovery").addHandler(logging.NullHandler())  # what a rehearsal logs is no news here
    try:
        yield
    except (ConfigurationError, MalformedError) as error:
        _say(error)
        raise typer.Exit(USAGE) from error
    except (SourceError, StoreError) as error:
        _say(error)
        raise typer.Exit(UNREADABLE) from error
    except BrokenPipeError as error:  # whoever reads has seen enough
        sys.stderr.close()
        raise typer.Exit(0) from error


def _say(error: Exception) -> None:
    typer.echo(f"error: {shown(str(error), 1000)}", err=True)
