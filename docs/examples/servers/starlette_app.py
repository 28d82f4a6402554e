import socketio
from starlette.applications import Starlette

from realtime import lifespan, sio

app = socketio.ASGIApp(sio, Starlette(lifespan=lifespan))
