"""`replay` and `why`: what a client would get if it came back now, and if nothing, why."""

from typing import Annotated, Any

import typer

from recovery.inspect.commands.choosing import found_or_exit
from recovery.inspect.commands.output import print_json, print_table
from recovery.inspect.commands.place import MAY_BEGIN_WITH_A_HYPHEN, NO, Place, at_a_place, examples
from recovery.inspect.explanation import Explanation, explain
from recovery.inspect.forms import explanation_form, rehearsal_form
from recovery.inspect.listing import find_session
from recovery.inspect.rehearsal import Rehearsal, rehearse
from recovery.inspect.sources import Source
from recovery.inspect.unsent import Unsent, list_unsent
from recovery.inspect.words import shown, shown_data

__all__ = ["add_reconnections"]

NamespaceOption = Annotated[
    str | None, typer.Option(help="The namespace that it connects to. [default: the session's]")
]
IdentityOption = Annotated[
    str | None, typer.Option(help="SHA-256 of its user, in hexadecimal. [default: the session's]")
]


def add_reconnections(app: typer.Typer) -> None:
    """Add both commands."""
    _add_replay(app)
    _add_why(app)


def _add_replay(app: typer.Typer) -> None:
    @app.command(
        context_settings=MAY_BEGIN_WITH_A_HYPHEN,
        epilog=examples(
            "replay GXdLUB --url redis://localhost --offset 1700000000000-3",
            "replay GXdLUB --snapshot incident.snapshot --all",
        ),
    )
    @at_a_place
    def replay(
        place: Place,
        name: Annotated[str, typer.Argument(metavar="ID", help="A sid, a pid, or the beginning of a pid.")],
        offset: Annotated[
            str | None,
            typer.Option(help="Of the last packet that the client received. [default: it received none]"),
        ] = None,
        everything: Annotated[
            bool, typer.Option("--all", help="Also each entry that would not be sent, and why.")
        ] = False,
        namespace: NamespaceOption = None,
        identity: IdentityOption = None,
    ) -> None:
        """Dry run: exactly what a client would be sent if it came back now, or the reason why not.

        Exits with 1 if it would not be recovered. Changes nothing.
        """
        with place.opened() as source:
            now_ms = place.now_ms(source)
            session = found_or_exit(source, name, now_ms)
            rehearsal = _rehearsed(source, place, session.pid, offset, namespace, identity, now_ms)
            unsent = list(list_unsent(rehearsal)) if everything else None
            if place.json:
                print_json(rehearsal_form(rehearsal, unsent, reveal=place.reveal))
            else:
                _show_replay(rehearsal, unsent)
        if not rehearsal.recovered:
            raise typer.Exit(NO)


def _add_why(app: typer.Typer) -> None:
    @app.command(
        context_settings=MAY_BEGIN_WITH_A_HYPHEN,
        epilog=examples(
            "why GXdLUB 1700000000000-3 --url redis://localhost",
            "why GXdLUBLZ7ZH85yMjFqEoSltjhfZzV-5R none --rdb dump.rdb",
        ),
    )
    @at_a_place
    def why(
        place: Place,
        pid: Annotated[
            str, typer.Argument(metavar="PID", help="What the client presents, or its beginning.")
        ],
        offset: Annotated[
            str, typer.Argument(metavar="OFFSET", help='Of the last packet that it received, or "none".')
        ],
        namespace: NamespaceOption = None,
        identity: IdentityOption = None,
    ) -> None:
        """Tell step by step why a client would be recovered or not, and what to change.

        Exits with 1 if it would not be recovered. Changes nothing.
        """
        with place.opened() as source:
            now_ms = place.now_ms(source)
            known = find_session(source, pid, now_ms=now_ms)
            presented = pid if known is None else known.pid
            last = None if offset == "none" else offset
            rehearsal = _rehearsed(source, place, presented, last, namespace, identity, now_ms)
            explanation = explain(rehearsal, now_ms)
            if place.json:
                print_json(explanation_form(explanation, presented, reveal=place.reveal))
            else:
                _show_why(explanation)
        if not rehearsal.recovered:
            raise typer.Exit(NO)


def _rehearsed(
    source: Source,
    place: Place,
    pid: str,
    offset: str | None,
    namespace: str | None,
    identity: str | None,
    now_ms: int,
) -> Rehearsal:
    return rehearse(
        source,
        pid,
        offset,
        namespace=namespace,
        identity=identity,
        settings=place.timing.settings,
        now_ms=now_ms,
    )


def _show_replay(rehearsal: Rehearsal, unsent: list[Unsent] | None) -> None:
    if not rehearsal.recovered:
        typer.echo(f"It would not be recovered: {rehearsal.outcome}. `why` tells more.")
        return
    sid, count = shown(rehearsal.connection.sid), len(rehearsal.packets)
    typer.echo(f"It would be recovered as {sid}, and be sent {count} packets.")
    rows = [(packet.offset, *_shown_packet(packet.args), "") for packet in rehearsal.packets]
    rows += [(str(each.offset), shown(each.event, 40), "", _because(each)) for each in unsent or ()]
    if rows:
        headings = ("offset", "event", "arguments", "not sent because")
        print_table(
            headings[: 4 if unsent else 3], [row[: 4 if unsent else 3] for row in sorted(rows, key=_place)]
        )


def _place(row: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(map(int, row[0].split("-")))


def _shown_packet(args: Any) -> tuple[str, str]:
    return shown(str(args[0]), 40), shown_data(list(args[1:-1]))


def _because(unsent: Unsent) -> str:
    kind = unsent.kind.name.lower() if unsent.kind is not None else "unknown"
    return unsent.reason.value if unsent.event else f"{unsent.reason.value} ({kind})"


def _show_why(explanation: Explanation) -> None:
    for step in explanation.steps:
        typer.echo(f"{'yes' if step.passed else 'NO ':<3}  {step.name:<7}  {shown(step.said, 1000)}")
    typer.echo(f"\n{explanation.outcome}")
    if explanation.advice:
        typer.echo(explanation.advice)
