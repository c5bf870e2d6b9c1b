"""What to do about a token that Relay refuses."""

from relay.client.credentials import Credentials, credentials_path


def what_to_do(code: str, found: Credentials) -> str:
    """A sentence; it depends on the refusal's code, and on where the token is from."""
    if code == "bad_signature":
        return "Use a token that need not sign."
    if found.source == "RELAY_TOKEN":  # a login would not be used
        return "Replace or unset RELAY_TOKEN."
    if code == "insufficient_scope" or found.source != str(credentials_path()):
        return "Use another token."  # a login keeps one that is valid
    return f"Run `relay login {found.url}`, or with a link from a connected device."
