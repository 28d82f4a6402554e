"""An end that the client or the server wants is in the store before anybody can present the pid again."""

from recovery.commands import SaveSession
from recovery.reasons import Reason
from tests.interleavings.harness import World, settle, until


async def test_a_client_that_disconnects_and_connects_at_once_is_not_recovered(world: World) -> None:
    server = world.server()
    client = await world.connected(server)
    writing = server.store.hold(SaveSession)
    client.disconnect()
    await until(lambda: writing.waiting)
    client.cut()
    world.dial(client, server)
    await settle()
    assert not client.is_connected, "let in before its end was written"
    writing.release()
    await until(lambda: client.is_connected)
    assert client.outcomes == ["fresh", "fresh"]
    assert server.manager.recovery(client.sid).reason is Reason.DISCONNECTED
