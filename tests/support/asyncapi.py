"""Relay's own AsyncAPI document."""

import json
from typing import Any

from relay.web.openapi.asyncapi import asyncapi

DOCUMENT: dict[str, Any] = json.loads(json.dumps(asyncapi("https://relay.example")))
MESSAGES = DOCUMENT["components"]["messages"]
