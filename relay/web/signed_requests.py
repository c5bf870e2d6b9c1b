"""Check the signatures of requests, for tokens that accept only signed ones."""

import time

from relay.auth.webhook_signatures import verify_signature
from relay.web.request import Request


def check_signature(request: Request, body: bytes) -> str | None:
    """Verify the request's signature if its token requires one; returns its `webhook-id` then.

    Raises BadSignature.
    """
    credential = request.found_credential
    if credential is None or credential.signing_kid is None:
        return None
    keyring = request.services.credentials.keyring
    secret = keyring.signing_secret(credential.id, credential.signing_kid)
    return verify_signature(request.headers, body, secret, time.time())
