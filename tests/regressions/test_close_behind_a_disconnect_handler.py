"""`close` waited for disconnect handlers without a limit: one that does not end held it up for ever."""

import threading

from tests.sync.harness import open_server


def test_a_disconnect_handler_that_does_not_end_holds_up_no_close() -> None:
    gate = threading.Event()

    def wait(_sid: str, _reason: str) -> None:
        gate.wait(60)

    with open_server(publish_timeout=0.2) as server:
        server.sio.on("disconnect", wait)
        for _ in range(4):
            server.client()
        closing = threading.Thread(target=server.manager.close)
        closing.start()
        closing.join(20)
        is_closed = not closing.is_alive()
        gate.set()
        assert is_closed
