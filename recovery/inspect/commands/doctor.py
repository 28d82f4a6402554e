"""`doctor`: check a deployment, and say what to do."""

from typing import Annotated

import typer

from recovery.inspect.checkup import Finding, Level, check_up
from recovery.inspect.commands.output import print_json, print_table
from recovery.inspect.commands.place import FOUND_TROUBLE, Place, at_a_place, examples
from recovery.inspect.forms import finding_form
from recovery.inspect.words import shown

__all__ = ["add_doctor"]


def add_doctor(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            "doctor --url redis://localhost --set max_len=100000 --user recovery",
            "doctor --rdb dump.rdb --json",
        )
    )
    @at_a_place
    def doctor(
        place: Place,
        user: Annotated[
            str | None, typer.Option(help="The store's user that servers connect as: check its rights.")
        ] = None,
        strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings, too.")] = False,
    ) -> None:
        """Check a deployment: the store, its settings, the stream and the sessions, and what to do.

        Exits with 1 if a check failed. What a file cannot tell is skipped.
        """
        with place.opened() as source:
            now_ms = None if place.at is None else place.now_ms(source)
            findings = list(check_up(source, place.keys, place.timing, user=user, now_ms=now_ms))
        if place.json:
            print_json({"findings": [finding_form(finding) for finding in findings]})
        else:
            _show(findings)
        bad = {Level.FAIL, Level.WARN} if strict else {Level.FAIL}
        if any(finding.level in bad for finding in findings):
            raise typer.Exit(FOUND_TROUBLE)


def _show(findings: list[Finding]) -> None:
    rows = [(each.level.value, each.check, shown(each.said), shown(each.todo)) for each in findings]
    print_table(("", "check", "found", "to do"), rows)
