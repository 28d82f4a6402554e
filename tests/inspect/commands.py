"""The command, run in this process as a person runs it."""

import json
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from adapter.cli import build_app

__all__ = ["Answer", "run"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said.

    Attributes:
        status: its exit status.
        out: its standard output.
        err: its standard error.
    """

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value that it printed."""
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        """The JSON values that it printed, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


def run(*arguments: object, typed: str | None = None) -> Answer:
    """Run ``socketio-recovery`` with these arguments; an exception that it lets out is one here, too."""
    result = CliRunner().invoke(build_app(), [str(each) for each in arguments], input=typed)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)
