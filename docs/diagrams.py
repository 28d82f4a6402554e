"""Draws what the pages of the documentation take from the code: diagrams in Mermaid, and tables.

A page holds the drawing between two comments, ``<!-- drawn: NAME -->`` and ``<!-- end -->``. Run this as

    python docs/diagrams.py

to draw all of them anew. A test fails while a page holds anything else than what is drawn here.
"""

import ast
import dataclasses
import re
import sys
import textwrap
import tomllib
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

from docs.command_line import command_reference, json_reference, source_options
from docs.operations import log_reference, metric_reference, trouble_reference
from recovery import errors
from recovery.core.connection import TRANSITIONS, Phase
from recovery.entries import Kind
from recovery.settings import Settings

__all__ = ["DRAWINGS", "PAGES", "TOUR", "drawn_anew"]

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "docs/explanation/architecture.md",
    "docs/reference/api.md",
    "docs/how-to/probe-readiness.md",
    "docs/reference/cli.md",
    "docs/reference/log-events.md",
    "docs/reference/metrics.md",
    "docs/reference/redis-keys.md",
    "docs/reference/settings.md",
)

TOUR = (
    "recovery/offsets.py",
    "recovery/reasons.py",
    "recovery/errors.py",
    "recovery/records.py",
    "recovery/rooms.py",
    "recovery/packing.py",
    "recovery/settings.py",
    "recovery/commands.py",
    "recovery/deadlines.py",
    "recovery/entries.py",
    "recovery/sessions.py",
    "recovery/adoption.py",
    "recovery/bridging.py",
    "recovery/drafts.py",
    "recovery/messages.py",
    "recovery/peers.py",
    "recovery/channels.py",
    "recovery/streams.py",
    "recovery/core/membership.py",
    "recovery/core/audience.py",
    "recovery/core/packets.py",
    "recovery/core/replay_log.py",
    "recovery/core/connection.py",
    "recovery/core/control.py",
    "recovery/core/effects.py",
    "recovery/core/tally.py",
    "recovery/core/skipped.py",
    "recovery/core/meters.py",
    "recovery/core/health.py",
    "recovery/core/dispatcher.py",
    "recovery/core/replay.py",
    "recovery/core/decision.py",
    "recovery/core/claiming.py",
    "recovery/core/saving.py",
    "recovery/core/roster.py",
    "recovery/flows/steps.py",
    "recovery/flows/pace.py",
    "recovery/flows/insisting.py",
    "recovery/flows/publishing.py",
    "recovery/flows/reading.py",
    "recovery/flows/backfill.py",
    "recovery/flows/adopting.py",
    "recovery/flows/admission.py",
    "recovery/flows/expiring.py",
    "recovery/flows/bridging.py",
    "recovery/driver.py",
    "recovery/aio/flusher.py",
    "recovery/aio/publisher.py",
    "recovery/aio/session_writer.py",
    "recovery/aio/claimer.py",
    "recovery/aio/tasks.py",
    "recovery/aio/waits.py",
    "recovery/aio/runtime.py",
    "recovery/aio/roll_call.py",
    "recovery/aio/bridge.py",
    "recovery/stores/memory_claims.py",
    "recovery/stores/memory_stream.py",
    "recovery/stores/memory_deadlines.py",
    "recovery/stores/memory_channels.py",
    "recovery/stores/memory_bridges.py",
    "recovery/stores/memory_state.py",
    "recovery/stores/memory.py",
    "recovery/stores/redis/keys.py",
    "recovery/stores/redis/scripts.py",
    "recovery/stores/redis/rounds.py",
    "recovery/stores/redis/protocol.py",
    "recovery/stores/redis/bridging.py",
    "recovery/stores/redis/faults.py",
    "recovery/stores/redis/endpoints.py",
    "recovery/stores/redis/connections.py",
    "recovery/stores/redis/sentinels.py",
    "recovery/stores/redis/patience.py",
    "recovery/stores/redis/links.py",
    "recovery/stores/redis/slots.py",
    "recovery/stores/redis/routing.py",
    "recovery/stores/redis/cluster_links.py",
    "recovery/stores/redis/channels.py",
    "recovery/stores/redis/cluster_channels.py",
    "recovery/stores/redis/store.py",
    "recovery/stores/embedded.py",
    "recovery/stores/__init__.py",
    "recovery/inspect/records.py",
    "recovery/inspect/decoding.py",
    "recovery/inspect/sources.py",
    "recovery/inspect/server_source.py",
    "recovery/inspect/memory_source.py",
    "recovery/inspect/dump_files.py",
    "recovery/inspect/dumps.py",
    "recovery/inspect/snapshot_format.py",
    "recovery/inspect/snapshots.py",
    "recovery/inspect/opening.py",
    "recovery/inspect/listing.py",
    "recovery/inspect/servers.py",
    "recovery/inspect/rehearsal.py",
    "recovery/inspect/unsent.py",
    "recovery/inspect/explanation.py",
    "recovery/inspect/traffic.py",
    "recovery/inspect/redaction.py",
    "recovery/inspect/comparison.py",
    "recovery/inspect/findings.py",
    "recovery/inspect/cluster_check.py",
    "recovery/inspect/checkup.py",
    "recovery/inspect/ending.py",
    "recovery/inspect/importing.py",
    "recovery/inspect/words.py",
    "recovery/inspect/forms.py",
    "recovery/inspect/schema.py",
    "recovery/inspect/__init__.py",
    "recovery/inspect/web/__init__.py",
    "recovery/inspect/web/guard.py",
    "recovery/inspect/web/keeping.py",
    "recovery/inspect/web/handles.py",
    "recovery/inspect/web/surveys.py",
    "recovery/inspect/web/watching.py",
    "recovery/inspect/web/reported.py",
    "recovery/inspect/web/timeline.py",
    "recovery/inspect/web/drawing.py",
    "recovery/inspect/web/asking.py",
    "recovery/inspect/web/desk.py",
    "recovery/inspect/web/openapi.py",
    "recovery/inspect/web/answers.py",
    "recovery/inspect/web/rendering.py",
    "recovery/inspect/web/pages.py",
    "recovery/inspect/web/app.py",
    "recovery/inspect/commands/place.py",
    "recovery/inspect/commands/output.py",
    "recovery/inspect/commands/choosing.py",
    "recovery/inspect/commands/sessions.py",
    "recovery/inspect/commands/reconnections.py",
    "recovery/inspect/commands/stream.py",
    "recovery/inspect/commands/transfers.py",
    "recovery/inspect/commands/servers.py",
    "recovery/inspect/commands/watch.py",
    "recovery/inspect/commands/doctor.py",
    "recovery/inspect/commands/web.py",
    "recovery/inspect/commands/app.py",
    "adapter/packet_queues.py",
    "adapter/polls.py",
    "adapter/websocket_seams.py",
    "adapter/seams.py",
    "adapter/sync_seams.py",
    "adapter/needs.py",
    "adapter/releases.py",
    "adapter/request_seams.py",
    "adapter/greenlets.py",
    "adapter/portal.py",
    "adapter/hosts.py",
    "adapter/peers.py",
    "adapter/emits.py",
    "adapter/frames.py",
    "adapter/clients.py",
    "adapter/background.py",
    "adapter/requests.py",
    "adapter/acknowledgements.py",
    "adapter/admin.py",
    "adapter/flask_sessions.py",
    "adapter/flask_queue.py",
    "adapter/handlers.py",
    "adapter/sessions.py",
    "adapter/streams.py",
    "adapter/expiry.py",
    "adapter/observing.py",
    "adapter/gathering.py",
    "adapter/server_events.py",
    "adapter/sockets.py",
    "adapter/answering.py",
    "adapter/cluster.py",
    "adapter/process.py",
    "adapter/user_sessions.py",
    "adapter/effects.py",
    "adapter/guesses.py",
    "adapter/attempts.py",
    "adapter/gate.py",
    "adapter/figures.py",
    "adapter/cluster_operations.py",
    "adapter/operations.py",
    "adapter/async_cluster_manager.py",
    "adapter/async_manager.py",
    "adapter/metrics.py",
    "adapter/tracing.py",
    "adapter/tables.py",
    "adapter/cluster_manager.py",
    "adapter/sync_host.py",
    "adapter/manager.py",
    "adapter/client_offsets.py",
    "adapter/client_packets.py",
    "adapter/client_state.py",
    "adapter/client_seams.py",
    "adapter/client_base.py",
    "adapter/async_client.py",
    "adapter/client.py",
    "adapter/bridge_metrics.py",
    "adapter/bridge_command.py",
    "adapter/cli.py",
    "adapter/demo/__init__.py",
    "recovery/testing/history.py",
    "recovery/testing/membership.py",
    "recovery/testing/accounts.py",
    "recovery/testing/violations.py",
    "recovery/testing/reception.py",
    "recovery/testing/orders.py",
    "recovery/testing/checker.py",
    "recovery/testing/surroundings.py",
    "recovery/testing/loop.py",
    "recovery/testing/network.py",
    "recovery/testing/clients.py",
    "recovery/testing/replicas.py",
    "recovery/testing/endings.py",
    "recovery/testing/recorder.py",
    "recovery/testing/storage.py",
    "recovery/testing/faults.py",
    "recovery/testing/losses.py",
    "recovery/testing/servers.py",
    "recovery/testing/adversity.py",
    "recovery/testing/cluster.py",
    "recovery/testing/steps.py",
    "recovery/testing/calamities.py",
    "recovery/testing/verdicts.py",
    "recovery/testing/residue.py",
    "recovery/testing/plans.py",
    "recovery/testing/planning.py",
    "recovery/testing/shrinking.py",
    "recovery/testing/run.py",
    "recovery/testing/strategies.py",
    "recovery/testing/embedded.py",
    "recovery/testing/machine.py",
    "recovery/testing/plugin.py",
)
"""The reading order: nothing imports what comes after it, but inside of a function."""

_DRAWN = re.compile(r"(<!-- drawn: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_MARKED = re.compile(r"\((\w+)\)|(\w+)")


def phases() -> str:
    """Draw the phases of a connection, from `recovery.core.connection.TRANSITIONS`."""
    lines = ["stateDiagram-v2", f"    [*] --> {Phase.HELD.name}"]
    for before, following in TRANSITIONS.items():
        lines += [f"    {before.name} --> {after.name}" for after in Phase if after in following]
        if not following:
            lines.append(f"    {before.name} --> [*]")
    return _mermaid(lines)


def layers() -> str:
    """Draw the layers, from the import contracts in pyproject.toml: whoever imports points to whom."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    by_id = {contract["id"]: contract for contract in contracts}
    front, *libraries = by_id["recovery-is-independent"]["forbidden_modules"]
    pure = {name.removeprefix("recovery.") for name in by_id["pure-core"]["source_modules"]}
    on_top, *below = by_id["layers"]["layers"]  # what stands on the front end, too
    lines = ["flowchart TB", f'    top["recovery.{_MARKED.findall(on_top)[0][0]}"] --> {front}']
    lines += [f'    {front} --> {library}(["{library}"])' for library in libraries]
    above = front
    for number, layer in enumerate(below):
        names = [optional or name for optional, name in _MARKED.findall(layer)]
        shown = " · ".join(f"{name} (pure)" if name in pure else name for name in names)
        lines += [f'    L{number}["{shown}"]', f"    {above} --> L{number}"]
        above = f"L{number}"
    return _mermaid(lines)


def tour() -> str:
    """List the modules in reading order, each with the first sentence that it says of itself."""
    rows = ["| file | what it is |", "|---|---|"]
    rows += [f"| `{path}` | {_first_sentence(ROOT / path)} |" for path in TOUR]
    return "\n".join(rows)


def kinds() -> str:
    """List the types of stream entries, from `recovery.entries.Kind`."""
    comments = _comments_of_members(ROOT / "recovery/entries.py", Kind.__name__)
    rows = ["| `type` | name | what it does |", "|---|---|---|"]
    rows += [f"| {kind.value} | `{kind.name}` | {_code(comments[kind.name])} |" for kind in Kind]
    return "\n".join(rows)


def defaults() -> str:
    """List the settings and their defaults, from `recovery.settings.Settings`."""
    rows = ["| setting | type | default |", "|---|---|---|"]
    for field in dataclasses.fields(Settings):
        kind = getattr(field.type, "__name__", str(field.type)).replace("|", "or")
        rows.append(f"| [`{field.name}`](#{field.name}) | {kind} | {_shown(field.default)} |")
    return "\n".join(rows)


def error_tree() -> str:
    """Show the tree of errors, from the docstring of `recovery.errors`."""
    tree = (errors.__doc__ or "").split("::\n\n")[1].split("\n\n")[0]
    return f"```text\n{textwrap.dedent(tree)}\n```"


DRAWINGS: Mapping[str, Callable[[], str]] = {
    "phases": phases,
    "layers": layers,
    "tour": tour,
    "kinds": kinds,
    "defaults": defaults,
    "errors": error_tree,
    "commands": command_reference,
    "source_options": source_options,
    "json": json_reference,
    "metrics": metric_reference,
    "log_events": log_reference,
    "troubles": trouble_reference,
}


def drawn_anew(text: str) -> str:
    """Return a page with everything drawn as the code is now; raises `KeyError` for an unknown drawing."""
    return _DRAWN.sub(lambda found: f"{found[1]}\n{DRAWINGS[found['name']]()}\n\n{found[3]}", text)


def _mermaid(lines: list[str]) -> str:
    return "\n".join(["```mermaid", *lines, "```"])


def _shown(value: object) -> str:
    return f"`{value:_}`" if isinstance(value, int) and value >= 10_000 else f"`{value!r}`"


def _first_sentence(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = docstring.split("\n\n")[0].replace("\n", " ")
    return _code(first)


def _comments_of_members(path: Path, name: str) -> dict[str, str]:
    """What stands in a string below each member of an enum; Python itself forgets it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    body = next(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name)
    comments: dict[str, str] = {}
    for member, below in pairwise(body):
        if isinstance(member, ast.Assign) and isinstance(below, ast.Expr):
            comments[ast.unparse(member.targets[0])] = str(ast.literal_eval(below.value))
    return comments


def _code(text: str) -> str:
    """Docstring markup as Markdown, fit for the cell of a table."""
    return re.sub(r"``(.+?)``", r"`\1`", " ".join(text.split())).replace("|", "\\|")


def main() -> None:
    """Draw all pages anew, and name those that changed."""
    for name in PAGES:
        page = ROOT / name
        before = page.read_text(encoding="utf-8")
        after = drawn_anew(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
            sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
