import os

import socketio
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
django = get_asgi_application()

from realtime import manager, sio  # noqa: E402 - handlers may import models, which want Django to be set up

application = socketio.ASGIApp(sio, django, on_shutdown=manager.close)
