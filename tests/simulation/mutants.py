"""Defects put into a copy of the two packages, one line each, for the simulation to find."""

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MUTANTS", "Mutant", "hunt", "plant"]

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 170.0  # seconds, on a machine that has much else to do


@dataclass(frozen=True)
class Mutant:
    """One line that is changed.

    Attributes:
        name: what is wrong then.
        path: of the file.
        line: what stands there; exactly once in the file.
        instead: what stands there then.
    """

    name: str
    path: str
    line: str
    instead: str


MUTANTS = (
    Mutant(
        "a floor one too low",
        "recovery/core/replay.py",
        "elif entry.offset > floor and",
        "elif entry.offset >= floor and",
    ),
    Mutant(
        "a change of rooms counts for the packet before it",
        "recovery/core/membership.py",
        "if last.offset < offset:",
        "if last.offset <= offset:",
    ),
    Mutant(
        "rooms without intervals",
        "recovery/core/audience.py",
        "if audience.rooms and not any(membership.contains(room, offset) for room in audience.rooms)",
        "if audience.rooms and not any(membership.is_in(room) for room in audience.rooms)",
    ),
    Mutant(
        "a change of rooms overtakes earlier emits",
        "recovery/core/dispatcher.py",
        "return max(self.position, self.published)",
        "return self.position",
    ),
    Mutant(
        "a claimer does not wait for its reader",
        "recovery/flows/admission.py",
        "passed: bool = yield AwaitPosition(target, settings.publish_timeout)",
        "passed: bool = True",
    ),
    Mutant(
        "a takeover is not published",
        "recovery/flows/admission.py",
        "moved_at: Offset = yield Publish(",
        "moved_at: Offset = claim.floor or Publish(",
    ),
    Mutant(
        "a takeover does not stop the old connection",
        "recovery/core/dispatcher.py",
        "old = held if held is not None and held.number < takeover.number else None",
        "old = None",
    ),
    Mutant(
        "a position is proven when the PONG comes",
        "adapter/process.py",
        "            client.connection.prove()",
        "            client.connection.note(self.dispatcher_of(client.connection.namespace).position)\n"
        "            client.connection.prove()",
    ),
    Mutant(
        "a gap is not noticed",
        "recovery/flows/reading.py",
        "gap=state.first > after",
        "gap=False",
    ),
    Mutant(
        "an old claim may write",
        "recovery/stores/memory_claims.py",
        "if command.number < claim.number or (command.owner, command.nonce) != (claim.owner, claim.nonce):",
        "if False:",
    ),
    Mutant(
        "what came while the application was asked is thrown away",
        "recovery/core/connection.py",
        "pending, self._pending = self._pending, []",
        "pending, self._pending = self._pending[:0], []",
    ),
    Mutant(
        "what comes while the application is asked is not kept",
        "recovery/core/connection.py",
        "            self._pending.extend(frames)\n        return len",
        "            self._pending.extend(())\n        return len",
    ),
    Mutant(
        "a repeated batch is stored again",
        "recovery/stores/memory_state.py",
        "command.sequence <= producer.last",
        "command.sequence < producer.first",
    ),
    Mutant(
        "changes made while a client is away are forgotten",
        "recovery/core/replay.py",
        "if entry.offset > applied and _apply(",
        "if entry.offset < applied and _apply(",
    ),
    Mutant(
        "what a client presents is not believed",
        "recovery/core/decision.py",
        "return max(presented or start, start if exact else proven, start)",
        "return max(start if exact else proven, start)",
    ),
    Mutant(
        "own packets are delivered at once",
        "adapter/operations.py",
        "            offset = await self._publish(draft, name, event)\n",
        "            self._deliver_here(name, args, audience, None)\n"
        "            offset = await self._publish(draft, name, event)\n",
    ),
    Mutant(
        "a connection that has ended is saved as if it had read on",
        "recovery/core/saving.py",
        "position = position if connection.ended_at is None else connection.ended_at",
        "position = max(position, connection.ended_at or position)",
    ),
    Mutant(
        "a recovered client is let in without the word of the store",
        "adapter/gate.py",
        "await self._host.abort(client.connection.transport)\n        return True",
        "pass\n        return True",
    ),
    Mutant(
        "an epoch that came back with a replica goes on",
        "recovery/stores/memory_stream.py",
        "if self.epoch == command.stale or self.begun <= command.lost:",
        "if self.epoch == command.stale:",
    ),
    Mutant(
        "a reader does not look for what its server knows",
        "recovery/flows/reading.py",
        "lost, renewal = True, replace(renewal, lost=known)",
        "lost = False",
    ),
    Mutant(
        "volatile packets are replayed",
        "recovery/core/packets.py",
        "return not self.volatile",
        "return True",
    ),
    Mutant(
        "a replay reaches the client after newer packets",
        "recovery/core/connection.py",
        "        self._pending.extend(frames)\n        self.grace",
        "        self._pending[:0] = frames\n        self.grace",
    ),
)


def plant(mutant: Mutant | None, folder: Path) -> None:
    """Copy the two packages into a folder, with a mutant in them."""
    for package in ("recovery", "adapter"):
        shutil.copytree(_ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    if mutant is None:
        return
    path = folder / mutant.path
    text = path.read_text()
    found = text.count(mutant.line)
    assert found == 1, f"{mutant.path} has {found} times what {mutant.name!r} changes: {mutant.line!r}"
    path.write_text(text.replace(mutant.line, mutant.instead))


def hunt(folder: Path, histories: int) -> tuple[bool, float, str]:
    """Simulate so many histories with the packages in a folder; whether something was found, after how many
    seconds, and what."""
    started = time.monotonic()
    result = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", "recovery.testing.run", "--seeds", f"0:{histories}"),
            *("--stop-after", "1", "--stories", "0", "--chunk", "10"),
        ],
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert result.returncode in {0, 1}, result.stderr
    return result.returncode == 1, time.monotonic() - started, result.stdout
