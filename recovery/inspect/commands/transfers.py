"""`export`, `import` and `diff`: a store's content in a file, back again, and what changed between two."""

from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from recovery.errors import ConfigurationError
from recovery.inspect.commands.choosing import (
    NamespaceOption,
    OlderOption,
    OwnerOption,
    RoomOption,
    StateOption,
    YoungerOption,
    wanted,
)
from recovery.inspect.commands.output import print_json, print_table
from recovery.inspect.commands.place import NO, Place, at_a_place, examples, reports_errors
from recovery.inspect.commands.stream import FromOption, ToOption, after_option, upto_option
from recovery.inspect.comparison import Difference, compare_sessions, compare_streams
from recovery.inspect.decoding import decode_stored
from recovery.inspect.forms import difference_form, stream_difference_form
from recovery.inspect.importing import import_into
from recovery.inspect.listing import Filter
from recovery.inspect.opening import open_source
from recovery.inspect.records import StoredSession
from recovery.inspect.redaction import Redaction
from recovery.inspect.snapshots import Selection, Written, write_snapshot
from recovery.inspect.sources import Source
from recovery.inspect.words import shown, shown_data, shown_pid
from recovery.settings import Settings
from recovery.stores.redis.endpoints import masked
from recovery.stores.redis.keys import Keys

__all__ = ["add_transfers"]

StreamNameOption = Annotated[str, typer.Option(help="As the servers are set.")]
PrefixOption = Annotated[str, typer.Option(help="As the servers are set.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]

_STREAM_NAME, _PREFIX = Settings().stream_name, Settings().session_key_prefix


def add_transfers(app: typer.Typer) -> None:
    """Add these commands."""
    _add_export(app)
    _add_import(app)
    _add_diff(app)


def _add_export(app: typer.Typer) -> None:
    @app.command(
        epilog=examples(
            "export incident.snapshot --url redis://localhost",
            "export for-others.snapshot --rdb dump.rdb --namespace /chat --redact",
        )
    )
    @at_a_place
    def export(
        place: Place,
        file: Annotated[Path, typer.Argument(metavar="FILE", help="What to write; not there yet.")],
        namespace: NamespaceOption = None,
        room: RoomOption = None,
        owner: OwnerOption = None,
        state: StateOption = None,
        older: OlderOption = None,
        younger: YoungerOption = None,
        begin: FromOption = None,
        end: ToOption = None,
        redact: Annotated[
            bool, typer.Option("--redact", help="Leave out pids, identities, session data and arguments.")
        ] = False,
        force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    ) -> None:
        """Write a snapshot: sessions (filtered, if asked) and the stream, for --snapshot.

        Without --redact it holds pids: whoever has the file has the sessions.
        """
        if file.exists() and not force:
            raise ConfigurationError(f"{file} is there already; --force replaces it")
        chosen = wanted(namespace, room, owner, state, older, younger)
        with place.opened() as source:
            now_ms = place.now_ms(source)

            def is_wanted(stored: StoredSession) -> bool:
                return chosen.accepts(decode_stored(stored, now_ms), now_ms)

            selection = Selection(
                after=after_option(begin),
                upto=upto_option(end),
                wanted=is_wanted,
                note=_note(chosen, begin, end, redact=redact),
            )
            if redact:
                redaction = Redaction()
                selection = replace(selection, redact_session=redaction.session, redact_entry=redaction.entry)
            _say_written(write_snapshot(source, file, selection), str(file), as_json=place.json)


def _note(chosen: Filter, begin: str | None, end: str | None, *, redact: bool) -> str:
    parts = ["sessions are missing (a filter)"] if chosen != Filter() else []
    parts += ["entries are missing (--from, --to)"] if begin or end else []
    parts += ["pids and data are not the true ones (--redact)"] if redact else []
    return ", ".join(parts)


def _say_written(written: Written, place: str, *, as_json: bool) -> None:
    counts = {"sessions": written.sessions, "entries": written.entries, "bytes": written.size}
    if as_json:
        print_json(counts)
    else:
        size = f", {written.size} bytes" if written.size else ""
        typer.echo(f"{shown(place)}: {written.sessions} sessions, {written.entries} entries{size}")


def _add_import(app: typer.Typer) -> None:
    @app.command("import", epilog=examples("import incident.snapshot --to redis://localhost:7000"))
    def import_(
        file: Annotated[
            Path, typer.Argument(metavar="FILE", help="A snapshot, or an RDB or append-only file.")
        ],
        *,
        to: Annotated[str, typer.Option(metavar="URL", help="An empty store, named as --url is.")],
        stream_name: StreamNameOption = _STREAM_NAME,
        session_key_prefix: PrefixOption = _PREFIX,
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
        json: JsonOption = False,
    ) -> None:
        """Put a file's sessions and stream into an empty store. Writes, and asks first.

        Sessions get as much time as they had left when the file was written. A store that has a stream or
        sessions of these names is refused.
        """
        with reports_errors():
            keys = Keys(stream_name, session_key_prefix)
            source = open_source(file, stream_name=stream_name, session_key_prefix=session_key_prefix)
            try:
                place = masked(to)
                if not yes and not typer.confirm(f"Write {file} into {place}?", err=True):
                    raise typer.Exit(NO)
                _say_written(import_into(to, keys, source), place, as_json=json)
            finally:
                source.close()


def _add_diff(app: typer.Typer) -> None:
    @app.command(
        epilog=examples(
            "diff morning.snapshot redis://localhost",
            "diff before.rdb after.rdb --json",
        )
    )
    def diff(
        first: Annotated[
            str, typer.Argument(metavar="A", help="A URL, a snapshot, or an RDB or append-only file.")
        ],
        second: Annotated[str, typer.Argument(metavar="B", help="The same, of later.")],
        *,
        stream_name: StreamNameOption = _STREAM_NAME,
        session_key_prefix: PrefixOption = _PREFIX,
        reveal: Annotated[bool, typer.Option("--reveal", help="Show pids whole.")] = False,
        json: JsonOption = False,
    ) -> None:
        """Show what changed from A to B: sessions that are new, gone or changed, and the stream's ends.

        Exits with 1 if anything differs. Deadlines, which every checkpoint moves, are not compared. With
        --json: the stream first, then one object a session.
        """
        with reports_errors():
            opened = partial(open_source, stream_name=stream_name, session_key_prefix=session_key_prefix)
            with closing(opened(first)) as one, closing(opened(second)) as two:
                differ = _print_differences(one, two, reveal=reveal, as_json=json)
        if differ:
            raise typer.Exit(NO)


def _print_differences(one: Source, two: Source, *, reveal: bool, as_json: bool) -> bool:
    streams = compare_streams(one, two)
    if as_json:
        print_json(stream_difference_form(streams))
    else:
        rows = [(name, shown(str(a)), shown(str(b))) for name, (a, b) in streams.values.items()]
        print_table(("stream", "a", "b"), rows)
    found = 0
    for each in compare_sessions(one, two):
        found += 1
        if as_json:
            print_json(difference_form(each, reveal=reveal))
        else:
            typer.echo(_difference_line(each, reveal=reveal))
    return found > 0 or streams.is_any


def _difference_line(each: Difference, *, reveal: bool) -> str:
    changes = [f"{name}: {shown_data(a, 60)} -> {shown_data(b, 60)}" for name, (a, b) in each.changes.items()]
    pid, sid = shown_pid(each.pid, reveal=reveal), shown(each.sid or "-", 40)
    return f"{each.kind.value:<7}  {pid}  {sid}  {'; '.join(changes)}".rstrip()
