import socketio
from fastapi import FastAPI

from realtime import lifespan, sio

api = FastAPI(lifespan=lifespan)
app = socketio.ASGIApp(sio, api)
