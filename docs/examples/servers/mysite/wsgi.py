import os

import socketio
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
django = get_wsgi_application()

from realtime_wsgi import sio  # noqa: E402 - handlers may import models, which want Django to be set up

application = socketio.WSGIApp(sio, django)
