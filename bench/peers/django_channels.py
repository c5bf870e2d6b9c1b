"""Django with Channels on uvicorn, its layer in memory.

    python django_channels.py PORT

Above its capacity (100 by default) the layer silently drops messages that a socket does not read in
time. Here the capacity is large enough to lose none.
"""

import json
import os
import sys
from urllib.parse import parse_qs

import django
import uvicorn
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import JsonResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels.layers.InMemoryChannelLayer",
            "CONFIG": {"capacity": 1_000_000, "expiry": 3_600},
        }
    },
)
django.setup()


async def accept(request):
    layer, user = get_channel_layer(), request.GET["user"]
    many = request.content_type == "application/x-ndjson"
    for line in request.body.splitlines() if many else [request.body]:
        await layer.group_send(user, {"type": "event", "event": json.loads(line)})
    return JsonResponse({"ok": True})


class Watcher(AsyncWebsocketConsumer):
    async def connect(self):
        self.user = parse_qs(self.scope["query_string"].decode())["user"][0]
        await self.channel_layer.group_add(self.user, self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.user, self.channel_name)

    async def event(self, message):
        await self.send(json.dumps(message["event"]))


urlpatterns = [path("api/webhook/cli", accept)]
app = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter([path("api/rt", Watcher.as_asgi())]),
    }
)

if __name__ == "__main__":
    # the load generator sends pongs unasked and does not answer pings
    quiet = {"access_log": False, "log_level": "warning", "ws_ping_interval": None}
    tls = {
        "ssl_certfile": os.environ.get("TLS_CERTIFICATE"),
        "ssl_keyfile": os.environ.get("TLS_KEY"),
    }
    uvicorn.run(app, port=int(sys.argv[1]), lifespan="off", **quiet, **tls)
