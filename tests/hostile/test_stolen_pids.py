"""Who has a pid has the session, unless `identity` binds it to a user: what that means for both sides."""

from collections.abc import Mapping
from typing import Any

import pytest

from recovery.reasons import Reason
from tests.interleavings.client import Client
from tests.interleavings.harness import Server, World, settle


def _user(_environ: Mapping[str, Any], auth: Any) -> str:
    return str((auth or {}).get("user", ""))


def _with_the_pid_of(thief: Client, victim: Client) -> Client:
    thief.sockets["/"].pid, thief.sockets["/"].offset = victim.pid, victim.offset
    return thief


async def _victim(world: World, server: Server) -> Client:
    victim = await world.connected(server, user="victim")
    await server.sio.save_session(victim.sid, {"secret": 42})
    await server.sio.enter_room(victim.sid, "private")
    await server.sio.emit("n", 1, to=victim.sid)
    await settle()
    return victim


@pytest.mark.parametrize("live", [False, True], ids=["away", "live"])
async def test_without_identity_a_thief_gets_the_session_and_the_victim_notices(
    world: World, live: bool
) -> None:
    """It is the promise of P5 seen from the other side: one owner, whoever presents the pid."""
    server = world.server()
    victim = await _victim(world, server)
    if not live:
        victim.cut()
        await settle()
    await server.sio.emit("n", 2, room="private")
    await settle()
    thief = _with_the_pid_of(world.client(user="thief"), victim)
    await world.connect(thief, server)
    assert thief.outcomes == ["recovered"]
    assert thief.sid == victim.sid
    assert await server.sio.get_session(thief.sid) == {"secret": 42}
    assert thief.got("n") == ([] if live else [2])
    assert not victim.is_connected
    await world.connect(victim, server)
    assert victim.outcomes == ["fresh", "recovered"], "the rightful owner takes it back the same way"
    assert not thief.is_connected


@pytest.mark.parametrize("user", ["thief", "", None], ids=["another user", "nobody", "no auth"])
async def test_with_identity_a_thief_gets_nothing_and_the_victim_does_not_notice(
    world: World, user: str | None
) -> None:
    server, other = world.server(identity=_user), world.server(identity=_user)
    victim = await _victim(world, server)
    thief = _with_the_pid_of(world.client(**({} if user is None else {"user": user})), victim)
    for target in (server, other):
        await world.connect(thief, target)
        assert thief.outcomes[-1] == "fresh"
        assert thief.sid != victim.sid
        assert target.manager.outcomes[Reason.IDENTITY_MISMATCH.value] == 1
        thief.cut()
        _with_the_pid_of(thief, victim)
    assert victim.is_connected
    await server.sio.emit("n", 2, room="private")
    await settle()
    victim.cut()
    await server.sio.emit("n", 3, room="private")
    await world.connect(victim, other)
    assert victim.outcomes == ["fresh", "recovered"]
    assert victim.got("n") == [1, 2, 3]
    assert thief.got("n") == []


async def test_a_session_without_a_user_is_not_open_to_one_that_has_one(world: World) -> None:
    server = world.server(identity=_user)
    anybody = await world.connected(server)
    anybody.cut()
    await settle()
    thief = _with_the_pid_of(world.client(user="thief"), anybody)
    await world.connect(thief, server)
    assert thief.outcomes == ["fresh"]
    await world.connect(anybody, server)
    assert anybody.outcomes == ["fresh", "recovered"]


@pytest.mark.parametrize("bound", [False, True], ids=["without identity", "with identity"])
async def test_a_session_that_an_attacker_has_fixed(world: World, bound: bool) -> None:
    """The attacker gives its own pid to the victim, and comes back with it when the victim has used it."""
    server = world.server(**({"identity": _user} if bound else {}))
    attacker = await world.connected(server, user="attacker")
    await server.sio.save_session(attacker.sid, {"user": "attacker"})
    attacker.cut()
    await settle()
    victim = _with_the_pid_of(world.client(user="victim"), attacker)
    await world.connect(victim, server)
    own = victim.sid
    if bound:
        assert (victim.outcomes, own != attacker.sid) == (["fresh"], True)
        assert await server.sio.get_session(own) == {}
    else:
        assert victim.outcomes == ["recovered"]
        assert await server.sio.get_session(own) == {"user": "attacker"}, "the victim acts as the attacker"
    await server.sio.emit("mail", "for the victim", to=own)
    await settle()
    await world.connect(attacker, server)
    assert attacker.outcomes == ["fresh", "recovered"]
    # What the victim has received counts as received from its next PONG on, not before.
    before = [] if bound else ["for the victim"]
    assert attacker.got("mail") == before
    await server.sio.emit("mail", "later", to=own)
    await settle()
    assert attacker.got("mail") == ([] if bound else [*before, "later"])
    assert victim.is_connected is bound


async def test_a_pid_that_nobody_was_given_makes_no_session(world: World) -> None:
    """A client cannot choose its pid: what it presents is looked up, or replaced."""
    server = world.server()
    chosen = "chosen-by-the-attacker-0123456789"
    attacker = world.client()
    attacker.sockets["/"].pid = chosen
    await world.connect(attacker, server)
    assert attacker.pid not in ("", chosen)
    assert chosen not in world.state._claims


async def test_pids_are_long_random_and_never_the_same(world: World) -> None:
    server = world.server()
    clients = [await world.connected(server) for _ in range(50)]
    pids = {client.pid for client in clients}
    assert len(pids) == 50
    assert {len(pid) for pid in pids} == {32}, "24 bytes: 192 bits"
    assert len({pid[:4] for pid in pids}) > 45, "they do not count up"
