import socketio
from litestar import Litestar

from realtime import lifespan, sio

app = socketio.ASGIApp(sio, Litestar(lifespan=[lifespan]))
