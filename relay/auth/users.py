"""Create users, for the HTTP route and the operator's command."""

from datetime import datetime
from uuid import UUID, uuid4

import uuid_utils

from relay.auth.credentials import SESSION_DAYS
from relay.auth.tokens import Keyring
from relay.db.pool import Database
from relay.db.users import insert_user
from relay.events import new_epoch


async def make_user(database: Database, keyring: Keyring) -> tuple[UUID, str, datetime]:
    """Create a user. Returns its id, its session's token, and when the session expires unused."""
    user_id, session_id = UUID(str(uuid_utils.uuid7())), uuid4()
    expires_at = await insert_user(database, user_id, new_epoch(), session_id, SESSION_DAYS)
    return user_id, keyring.issue_session(user_id, session_id), expires_at
