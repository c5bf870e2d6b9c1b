"""The app for other ASGI servers that run trio: `hypercorn -c hypercorn.toml relay.asgi:app`.

Prefer `relay serve`. Other servers do not bound connections as Relay's own does, do not drain
streams when they stop, and cannot distinguish a lost client from a silent one.
"""

import os
from collections.abc import AsyncGenerator

from relay.app import create_app, with_middleware
from relay.config.settings import Settings
from relay.config.unknown_variables import log_unknown_variables
from relay.db.source import bring_up_to_date, open_source
from relay.observability.logs import configure_logs
from relay.observability.sentry import configure_reports
from relay.server_process import client_url
from relay.services import open_services

_settings = Settings.load(os.environ)
_base_url = _settings.base_url or client_url(f"http://{_settings.bind}")
_relay = create_app(_settings)


@_relay.while_serving
async def _serving() -> AsyncGenerator[None, None]:
    configure_logs(_settings.log_level)
    log_unknown_variables(os.environ)
    configure_reports(_settings)
    async with open_source(_settings) as source:
        await bring_up_to_date(
            source.direct, apply=_settings.auto_migrate, timeout=_settings.database_timeout
        )
        async with open_services(_settings, source, _base_url) as _relay.services:
            yield


app = with_middleware(_relay, _settings, _base_url)
