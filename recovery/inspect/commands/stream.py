"""`stream`: what is in it, how fast it grows, how far it reaches back, and entry by entry."""

from collections.abc import Iterator
from typing import Annotated

import typer

from recovery.errors import ConfigurationError
from recovery.inspect.commands.output import lines, print_json, print_table
from recovery.inspect.commands.place import NO, Place, at_a_place, examples
from recovery.inspect.forms import entry_form, traffic_form
from recovery.inspect.sources import Source, entries_between
from recovery.inspect.traffic import DecodedEntry, Traffic, decode_entry, measure_traffic
from recovery.inspect.words import (
    duration,
    moment,
    parse_moment,
    shortened,
    shown,
    shown_data,
    shown_room,
)
from recovery.offsets import ORIGIN, Offset, parse_offset
from recovery.records import Entry

__all__ = ["FromOption", "ToOption", "add_stream", "after_option", "upto_option"]

FromOption = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="PLACE", help="Only from this offset or moment on (ms-seq, ms, ISO 8601)."
    ),
]
ToOption = Annotated[
    str | None, typer.Option("--to", metavar="PLACE", help="Only up to this offset or moment, included.")
]

_WAIT_MS = 1000  # of one read that follows; Ctrl-C ends it
_MOST_SEQ = 2**64 - 1


def after_option(text: str | None) -> Offset:
    """The offset after which ``--from`` begins; raises `ConfigurationError`."""
    if text is None:
        return ORIGIN
    first = _offset(text, seq=0)
    if first == ORIGIN:
        return ORIGIN
    return Offset(first.ms, first.seq - 1) if first.seq else Offset(first.ms - 1, _MOST_SEQ)


def upto_option(text: str | None) -> Offset | None:
    """The last offset that ``--to`` takes in; raises `ConfigurationError`."""
    return None if text is None else _offset(text, seq=_MOST_SEQ)


def _offset(text: str, *, seq: int) -> Offset:
    try:
        return parse_offset(text)
    except ValueError:
        pass
    try:
        return Offset(parse_moment(text), seq)
    except ValueError as error:
        raise ConfigurationError(f"{error}, or an offset (ms-seq)") from error


def add_stream(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            "stream --url redis://localhost --set max_disconnection_duration=300",
            "stream --url redis://localhost --follow --namespace /chat",
            "stream --rdb dump.rdb --entries --from 2023-11-14T22:13:20Z --to 2023-11-14T22:14Z",
        )
    )
    @at_a_place
    def stream(
        place: Place,
        begin: FromOption = None,
        end: ToOption = None,
        entries: Annotated[bool, typer.Option("--entries", help="List the entries, decoded.")] = False,
        follow: Annotated[
            bool, typer.Option("--follow", help="List entries as they come, until Ctrl-C.")
        ] = False,
        namespace: Annotated[
            str | None, typer.Option(help="With --entries or --follow: only those of this namespace.")
        ] = None,
        limit: Annotated[
            int, typer.Option(min=0, help="With --entries or --follow: so many at most; 0 for all.")
        ] = 0,
        sample: Annotated[
            int,
            typer.Option(min=1, help="Rate, bytes and shares are those of so many of the newest entries."),
        ] = 10_000,
        whole: Annotated[bool, typer.Option("--whole", help="Read all entries instead.")] = False,
    ) -> None:
        """Measure the stream: entries, rate, bytes, how far it reaches back against what is configured.

        Exits with 1 if there is no stream, or if it does not reach back as far as clients may be away. With
        --entries or --follow --json prints one object a line.
        """
        with place.opened() as source:
            after, upto = after_option(begin), upto_option(end)
            if entries or follow:
                found = (
                    _followed(source, begin, after, upto) if follow else entries_between(source, after, upto)
                )
                _list(found, namespace, limit or 2**62, as_json=place.json)
            else:
                _measure(source, place, after, upto, None if whole else sample)


def _measure(source: Source, place: Place, after: Offset, upto: Offset | None, sample: int | None) -> None:
    now_ms = place.now_ms(source)
    traffic = measure_traffic(source, place.timing, after=after, upto=upto, sample=sample, now_ms=now_ms)
    if traffic is None:
        typer.echo("error: there is no stream, or it has no epoch", err=True)
        raise typer.Exit(NO)
    if place.json:
        print_json(traffic_form(traffic))
    else:
        _show(traffic)
    if not traffic.covers_window:
        raise typer.Exit(NO)


def _followed(source: Source, begin: str | None, after: Offset, upto: Offset | None) -> Iterator[Entry]:
    """Entries as they come: from the end on, unless a place to begin is given."""
    if begin is None:
        state = source.stream()
        after = ORIGIN if state is None else state.last
    while True:
        batch = source.read(after, 100, wait_ms=_WAIT_MS)
        for entry in batch:
            if upto is not None and entry.offset > upto:
                return
            yield entry
            after = entry.offset
        if not batch and not source.is_live:
            return


def _list(found: Iterator[Entry], namespace: str | None, most: int, *, as_json: bool) -> None:
    try:
        for entry in found:
            decoded = decode_entry(entry)
            if namespace in {None, decoded.namespace}:
                if as_json:
                    print_json(entry_form(decoded))
                else:
                    typer.echo(_entry_line(decoded))
                most -= 1
            if most == 0:
                return
    except KeyboardInterrupt:
        return  # how following ends


def _entry_line(entry: DecodedEntry) -> str:
    parts = [str(entry.offset), shown(entry.namespace or "-", 40), shown(entry.event, 60)]
    if len(entry.args) > 1:
        parts.append(shown_data(list(entry.args[1:])))
    if entry.audience.rooms:
        parts.append(f"to {shortened([shown_room(room) for room in entry.audience.rooms], 3)}")
    if entry.audience.excluded:
        parts.append(f"not to {shortened([shown_room(room) for room in entry.audience.excluded], 3)}")
    if entry.volatile:
        parts.append("volatile")
    if entry.problem:
        parts.append(shown(entry.problem))
    return "  ".join(parts)


def _show(traffic: Traffic) -> None:
    part, stream = traffic.part, traffic.stream
    rate = "unknown" if part.per_second is None else f"{part.per_second:.1f} entries a second"
    about = "about " if traffic.is_sample or part.entries != traffic.length else ""
    verdict = "covered" if traffic.covers_window else "NOT covered: who comes back late cannot be recovered"
    kept = "nothing was ever trimmed" if traffic.untrimmed else f"{duration(traffic.held_ms)} back"
    lines(
        [
            ("entries", str(traffic.length)),
            ("epoch", shown(stream.epoch)),
            ("oldest", f"{stream.first}, {moment(stream.first.ms)}"),
            ("newest", f"{stream.last}, {moment(stream.last.ms)}"),
            ("rate", rate),
            ("bytes", f"{about}{traffic.size}"),
            ("reaches", kept),
            ("window", f"{duration(traffic.window_ms)} (max_disconnection_duration), {verdict}"),
            ("retention", duration(traffic.retention_ms)),
        ]
    )
    which = "newest " if traffic.is_sample else ""
    typer.echo(f"\nShares of {part.entries} {which}entries:")
    rows = [
        (
            f"{100 * count / part.entries:.1f}%",
            shown(namespace or "-", 40),
            shown(event, 60),
            str(count),
            str(part.sizes[namespace, event]),
        )
        for (namespace, event), count in part.names.most_common(30)
    ]
    print_table(("share:", "namespace", "event", "entries:", "bytes:"), rows)
