"""One order for all: is there any in which every client saw what it saw?

Where packets carry offsets there is one: each client's packets go up by offset (`Reception` looks after
that). Here is what remains: producers whose numbers and offsets differ, offsets that two packets share, and
packets without offsets, for which an order is sought.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from recovery.offsets import Offset
from recovery.records import Namespace
from recovery.testing.accounts import Packet
from recovery.testing.reception import Reception
from recovery.testing.violations import Kind, Violation

__all__ = ["find_disagreements", "find_misnumbered"]

_Followers: TypeAlias = Mapping[str, Mapping[str, str]]
"""For each packet those that clients saw next, with the name of such a client."""


def find_misnumbered(packets: Iterable[Packet]) -> Iterator[Violation]:
    """Find packets whose offsets contradict their producer's numbers, and offsets that are not unique."""
    places: dict[Offset, Packet] = {}
    producers: defaultdict[str, list[Packet]] = defaultdict(list)
    for packet in packets:
        if packet.offset is None:
            continue
        producers[packet.emitted.producer].append(packet)
        other = places.setdefault(packet.offset, packet)
        if other is not packet:
            detail = f"{other.emitted.packet} stands there, too"
            yield _of_nobody(Kind.DISAGREEMENT, packet, detail)
    for emitted in producers.values():
        emitted.sort(key=lambda packet: packet.emitted.number)
        for before, packet in pairwise(emitted):
            if packet.first < before.first:
                who, number = packet.emitted.producer, packet.emitted.number
                detail = (
                    f"number {number} of {who} stands before its {before.emitted.number} at {before.offset}"
                )
                yield _of_nobody(Kind.OUT_OF_ORDER, packet, detail)


def find_disagreements(namespace: Namespace, receptions: Sequence[Reception]) -> Iterator[Violation]:
    """Find a ring of clients that cannot all have seen one order; at most one, as one explains others."""
    heard = [
        (reception.session.client, [name for name, packet in reception.heard.items() if packet.has_place])
        for reception in receptions
    ]
    if all(packet.offset is not None for reception in receptions for packet in reception.heard.values()):
        return
    ring = _find_ring(_followers(heard))
    if ring:
        steps = [f"{client} saw {before} before {after}" for before, after, client in ring]
        yield Violation(Kind.DISAGREEMENT, ring[0][2], ring[0][0], None, ", ".join(steps), namespace)


def _of_nobody(kind: Kind, packet: Packet, detail: str) -> Violation:
    return Violation(kind, "", packet.emitted.packet, packet.offset, detail, packet.emitted.namespace)


def _followers(heard: Iterable[tuple[str, Sequence[str]]]) -> _Followers:
    followers: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for client, names in heard:
        for before, after in pairwise(names):
            followers[before].setdefault(after, client)
    return followers


def _find_ring(followers: _Followers) -> list[tuple[str, str, str]]:
    """Return a ring of (packet, later packet, client who says so), each client's steps taken together."""
    waiting: defaultdict[str, int] = defaultdict(int)
    for after in (name for names in followers.values() for name in names):
        waiting[after] += 1
    free = [name for name in followers if not waiting[name]]
    while free:
        for after in followers.get(free.pop(), ()):
            waiting[after] -= 1
            if not waiting[after]:
                free.append(after)
                del waiting[after]
    left = [name for name, count in waiting.items() if count]
    return _merge(_walk_back(left, followers)) if left else []


def _walk_back(left: Sequence[str], followers: _Followers) -> list[tuple[str, str, str]]:
    """Each packet that is left follows one that is left, so going back must come round."""
    remaining = set(left)
    before: dict[str, tuple[str, str]] = {}
    for name in left:
        for after, client in followers.get(name, {}).items():
            if after in remaining:
                before[after] = name, client
    seen: dict[str, int] = {}
    path: list[str] = [next(iter(before))]
    while path[-1] not in seen:
        seen[path[-1]] = len(path) - 1
        path.append(before[path[-1]][0])
    ring = path[seen[path[-1]] :][::-1]
    return [(one, other, before[other][1]) for one, other in pairwise(ring)]


def _merge(ring: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Say "a before c" where one client saw a before b and b before c."""
    turn = next((index for index, step in enumerate(ring) if step[2] != ring[index - 1][2]), 0)
    merged: list[tuple[str, str, str]] = []
    for before, after, client in ring[turn:] + ring[:turn]:
        if merged and merged[-1][2] == client:
            merged[-1] = merged[-1][0], after, client
        else:
            merged.append((before, after, client))
    return merged
