"""`sessions` and `session`: who is there, and all about one."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated, Any

import typer

from recovery.errors import ConfigurationError, StoreError
from recovery.inspect.commands.choosing import (
    NamespaceOption,
    OlderOption,
    OwnerOption,
    RoomOption,
    StateOption,
    YoungerOption,
    found_or_exit,
    wanted,
)
from recovery.inspect.commands.output import lines, print_json, print_table
from recovery.inspect.commands.place import MAY_BEGIN_WITH_A_HYPHEN, NO, Place, at_a_place, examples
from recovery.inspect.ending import end_session
from recovery.inspect.forms import session_form, whole_session_form
from recovery.inspect.listing import (
    SortKey,
    find_sessions,
    first_sorted,
    owner_of,
)
from recovery.inspect.records import Owner, Session, SessionState
from recovery.inspect.rehearsal import Rehearsal, rehearse
from recovery.inspect.words import (
    duration,
    moment,
    shortened,
    shown,
    shown_data,
    shown_pid,
    shown_room,
)
from recovery.stores.redis.endpoints import masked

__all__ = ["add_sessions"]

_SERVER_SHOWN = 8  # characters of a server's id in a table; `--owner` takes them


def add_sessions(app: typer.Typer) -> None:
    """Add both commands."""
    _add_list(app)
    _add_one(app)


def _add_list(app: typer.Typer) -> None:
    @app.command(
        epilog=examples(
            "sessions --url redis://localhost --state away --sort deadline",
            "sessions --rdb dump.rdb --room lobby --json",
        )
    )
    @at_a_place
    def sessions(
        place: Place,
        namespace: NamespaceOption = None,
        room: RoomOption = None,
        owner: OwnerOption = None,
        state: StateOption = None,
        older: OlderOption = None,
        younger: YoungerOption = None,
        sort: Annotated[
            SortKey | None, typer.Option(help="Sort; all are read first. [default: as they come]")
        ] = None,
        limit: Annotated[int, typer.Option(min=0, help="Show so many at most; 0 for all.")] = 50,
        count: Annotated[bool, typer.Option("--count", help="Only count them, by state.")] = False,
    ) -> None:
        """List sessions.

        With --json: one object a line; with --count one object.
        """
        chosen = wanted(namespace, room, owner, state, older, younger)
        with place.opened() as source:
            now_ms = place.now_ms(source)
            found = find_sessions(source, chosen, now_ms=now_ms)
            if count:
                _count(found, as_json=place.json)
            else:
                _list(found, sort, limit, now_ms, place)


def _add_one(app: typer.Typer) -> None:
    @app.command(
        context_settings=MAY_BEGIN_WITH_A_HYPHEN,
        epilog=examples(
            "session GXdLUB --url redis://localhost",
            "session GXdLUB --url redis://localhost --delete",
        ),
    )
    @at_a_place
    def session(
        place: Place,
        name: Annotated[str, typer.Argument(metavar="ID", help="A sid, a pid, or the beginning of a pid.")],
        delete: Annotated[
            bool, typer.Option("--delete", help="End the session, so that its client cannot recover it.")
        ] = False,
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
        data_limit: Annotated[
            int, typer.Option(min=1, help="Characters of session data to show; --json has all.")
        ] = 1000,
    ) -> None:
        """Show all about one session: rooms, data, owner, time left, and what it would be sent now.

        --delete writes, needs --url, and asks first. The session is ended as by `sio.disconnect(sid)`: a
        client that is connected is closed within four checkpoints of its server, and one that comes back gets
        the reason `disconnected`.
        """
        with place.opened() as source:
            now_ms = place.now_ms(source)
            found = found_or_exit(source, name, now_ms)
            if delete:
                _delete(place, found, ask=not yes)
                return
            owner = owner_of(source, found, place.timing, now_ms)
            rehearsal = rehearse(source, found.pid, settings=place.timing.settings, now_ms=now_ms)
            if place.json:
                print_json(whole_session_form(found, owner, rehearsal, now_ms, reveal=place.reveal))
            else:
                _show(found, owner, rehearsal, now_ms, place, data_limit)


def _count(found: Iterable[Session], *, as_json: bool) -> None:
    counts = dict.fromkeys(SessionState, 0)
    for each in found:
        counts[each.state] += 1
    if as_json:
        print_json({"sessions": sum(counts.values()), "states": {s.value: n for s, n in counts.items()}})
    else:
        lines([("sessions", str(sum(counts.values()))), *((s.value, str(n)) for s, n in counts.items() if n)])


def _list(found: Iterator[Session], sort: SortKey | None, limit: int, now_ms: int, place: Place) -> None:
    most = limit or 2**62
    rows: Iterable[Session] = found
    if sort is not None:
        rows = iter(first_sorted(found, sort, most + 1) if limit else sorted(found, key=sort.order))
    if place.json:
        for each in islice(rows, most):
            print_json(session_form(each, now_ms, reveal=place.reveal))
        return
    chosen = list(islice(rows, most + 1))
    headings = ("pid", "sid", "namespace", "state", "for:", "left:", "rooms", "owner", "bytes:")
    print_table(headings, (_row(each, now_ms, reveal=place.reveal) for each in chosen[:most]))
    if len(chosen) > most:
        typer.echo(f"There are more than {limit}: --limit 0 for all, --count to count them.", err=True)


def _row(session: Session, now_ms: int, *, reveal: bool) -> tuple[str, ...]:
    rooms = [shown_room(room) for room in session.rooms if room != session.sid]
    known = session.since_ms > 0
    over = session.state in {SessionState.ENDED, SessionState.EXPIRED} or not known
    return (
        shown_pid(session.pid, reveal=reveal),
        shown(session.sid or "-", 40),
        shown(session.namespace, 40),
        session.state.value,
        duration(max(0, now_ms - session.since_ms)) if known else "-",
        "-" if over else duration(session.deadline_ms - now_ms),
        shortened(rooms, 3) or (shown(session.problem) if session.problem else "-"),
        shown(session.holder[:_SERVER_SHOWN]),
        "-" if session.size is None else str(session.size),
    )


def _delete(place: Place, session: Session, *, ask: bool) -> None:
    if place.url is None or place.snapshot is not None or place.rdb is not None:
        raise ConfigurationError("--delete writes into a live store: it needs --url")
    shown_as = f"{shown_pid(session.pid, reveal=place.reveal)} ({shown(session.sid or 'no sid')})"
    if ask and not typer.confirm(
        f"End the session {shown_as}, {session.state.value} in {masked(place.url)}?", err=True
    ):
        raise typer.Exit(NO)
    try:
        end_session(place.url, place.keys, session)
    except StoreError as error:
        typer.echo(f"error: {shown(str(error), 1000)}", err=True)
        raise typer.Exit(NO) from error
    if place.json:
        print_json({"deleted": True, "sid": session.sid})
    else:
        typer.echo(f"{shown_as} is ended.")


def _show(
    session: Session, owner: Owner, rehearsal: Rehearsal, now_ms: int, place: Place, data_limit: int
) -> None:
    joined = [(room, session.joined(room)) for room in session.rooms]
    left = session.deadline_ms - now_ms
    lines(
        [
            ("pid", shown_pid(session.pid, reveal=place.reveal)),
            ("sid", shown(session.sid or "unknown")),
            ("namespace", shown(session.namespace)),
            ("state", f"{session.state.value} for {duration(max(0, now_ms - session.since_ms))}"),
            ("expires", f"{moment(session.deadline_ms)} ({_until(left)})"),
            ("owner", _alive(owner, now_ms)),
            ("claim", f"number {session.number}, {_claimed(session)}"),
            ("identity", shown(session.identity) or "none"),
            ("proven", f"{session.proven}: the client has received everything up to there"),
            ("begins after", str(session.start)),
            ("rooms known up to", str(session.position)),
            ("epoch", shown(session.epoch)),
            *(("problem", shown(text)) for text in [session.problem] if text),
            ("rooms", shortened([_since(room, at) for room, at in joined], 20) or "unknown"),
            ("data", shown_data(session.data, data_limit)),
            ("would now be", rehearsal.outcome),
            *_packets(rehearsal),
        ]
    )


def _until(left_ms: int) -> str:
    return f"{duration(left_ms)} left" if left_ms >= 0 else f"{duration(-left_ms)} ago"


def _packets(rehearsal: Rehearsal) -> list[tuple[str, str]]:
    if not rehearsal.recovered:
        return []
    events = [shown(str(packet.args[0]), 40) for packet in rehearsal.packets]
    return [("would be sent", f"{len(events)} packets: {shortened(events, 10)}" if events else "nothing")]


def _alive(owner: Owner, now_ms: int) -> str:
    if owner.heard_ms is None:
        return f"{shown(owner.server)}, nothing tells when it last ran"
    return f"{shown(owner.server)}, certainly ran {duration(max(0, now_ms - owner.heard_ms))} ago"


def _claimed(session: Session) -> str:
    return "never granted" if session.claimed_ms is None else f"last granted {moment(session.claimed_ms)}"


def _since(room: Any, at: object) -> str:
    return shown_room(room) if at is None else f"{shown_room(room)} (since {at})"
