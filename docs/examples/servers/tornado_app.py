import asyncio
import os
import signal
from typing import Any

import socketio
import tornado.web

from adapter import AsyncRecoveryManager

manager = AsyncRecoveryManager("redis://localhost:6379", max_disconnection_duration=120.0)
sio = socketio.AsyncServer(async_mode="tornado", client_manager=manager)


@sio.event
async def connect(sid: str, environ: dict[str, Any]) -> None:
    recovered = environ["socketio.recovery"].recovered
    print(f"process {os.getpid()}: {sid} is {'back' if recovered else 'new'}", flush=True)
    if not recovered:
        await sio.enter_room(sid, "news")


@sio.event
async def publish(sid: str, text: str) -> None:
    await sio.emit("headline", text, room="news")


async def main() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app = tornado.web.Application([(r"/socket.io/", socketio.get_tornado_handler(sio))])
    server = app.listen(8000)
    await stop.wait()
    server.stop()
    await manager.close()


if __name__ == "__main__":
    asyncio.run(main())
