"""Draws the reference of the command line, from the commands themselves."""

import inspect
import json
import textwrap
from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_args, get_origin

from typer.models import ArgumentInfo, CommandInfo, OptionInfo

from adapter.cli import build_app
from recovery.inspect.commands.place import PLACE_OPTIONS
from recovery.inspect.schema import FIELDS, LINE_BY_LINE

__all__ = ["command_reference", "json_reference", "source_options"]


def command_reference() -> str:
    """Describe each command: what it does, its arguments, its options, examples."""
    return "\n\n".join(part for command in build_app().registered_commands for part in _command(command))


def source_options() -> str:
    """List the options that all commands which read from one source have."""
    [command] = [each for each in build_app().registered_commands if _name(each) == "sessions"]
    rows = [_row(parameter) for parameter in _parameters(command) if parameter.name in PLACE_OPTIONS]
    return "\n".join(["| option | default | what it is |", "|---|---|---|", *rows])


def json_reference() -> str:
    """List the fields of each command's JSON."""
    parts: list[str] = []
    for command, fields in FIELDS.items():
        several = LINE_BY_LINE.get(command)
        parts.append(f"### `{command} --json`" + (f"\n\nSeveral lines: {several}." if several else ""))
        rows = [f"| `{name}` | {meaning} |" for name, meaning in fields.items()]
        parts.append("\n".join(["| field | meaning |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def _command(command: CommandInfo) -> Iterator[str]:
    yield f"### `{_name(command)}`"
    yield from _paragraphs(_callback(command).__doc__ or "")
    everything = _parameters(command)
    reads = {each.name for each in everything} >= PLACE_OPTIONS
    own = [each for each in everything if not (reads and each.name in PLACE_OPTIONS)]
    arguments = [each for each in own if isinstance(_info(each), ArgumentInfo)]
    options = [each for each in own if isinstance(_info(each), OptionInfo)]
    shown = " ".join(["socketio-recovery", _name(command), *(_info(each).metavar for each in arguments)])
    yield f"```text\n{shown} [OPTIONS]\n```"
    if arguments:
        rows = [f"| `{_info(each).metavar}` | {_info(each).help} |" for each in arguments]
        yield "\n".join(["| argument | what it is |", "|---|---|", *rows])
    if options:
        yield "\n".join(["| option | default | what it is |", "|---|---|---|", *map(_row, options)])
    if reads:
        yield "And [the options that choose a source](#options-that-choose-a-source)."
    if command.epilog:
        _, *examples = command.epilog.split("\n\n")
        yield "```text\n{}\n```".format("\n".join(examples))


def _paragraphs(docstring: str) -> Iterator[str]:
    for paragraph in inspect.cleandoc(docstring).split("\n\n"):
        yield textwrap.fill(" ".join(paragraph.split()), 110, break_on_hyphens=False, break_long_words=False)


def _name(command: CommandInfo) -> str:
    return command.name or _callback(command).__name__


def _callback(command: CommandInfo) -> Callable[..., Any]:
    assert command.callback is not None, "every command of ours has one"
    return command.callback


def _parameters(command: CommandInfo) -> list[inspect.Parameter]:
    return list(inspect.signature(_callback(command), eval_str=True).parameters.values())


def _info(parameter: inspect.Parameter) -> Any:  # typer's, which has the attributes of both kinds
    return next(
        each for each in get_args(parameter.annotation)[1:] if isinstance(each, OptionInfo | ArgumentInfo)
    )


def _row(parameter: inspect.Parameter) -> str:
    info = _info(parameter)
    declared = [info.default, *(info.param_decls or ())]  # typer takes the first one for a default
    names = [name for name in declared if isinstance(name, str) and name.startswith("-")]
    name = names[0] if names else f"--{parameter.name.replace('_', '-')}"
    value = "" if _kind(parameter) is bool else f" {info.metavar or _kind_name(parameter)}"
    default = parameter.default
    blank = default is None or default is False or default == [] or default is inspect.Parameter.empty
    shown = "" if blank else f"`{default if isinstance(default, str) else json.dumps(default)}`"
    variable = f" Environment: `{info.envvar}`." if info.envvar else ""
    return f"| `{name}{value}` | {shown} | {info.help.replace('|', '/')}{variable} |"


def _kind(parameter: inspect.Parameter) -> Any:  # a type, or a union of them
    annotation = parameter.annotation
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _kind_name(parameter: inspect.Parameter) -> str:
    text = str(_kind(parameter))
    for word, shown in (
        ("SessionState", "STATE"),
        ("SortKey", "KEY"),
        ("int", "NUMBER"),
        ("float", "NUMBER"),
    ):
        if word in text:
            return shown
    return "FILE" if "Path" in text else "TEXT"
