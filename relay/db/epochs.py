"""The epochs of streams, which name their numbering."""

from relay.db.pool import Database


async def renew_epochs(database: Database) -> int:
    """Give every stream a new epoch, so that old cursors are not accepted as positions in it.

    The users are locked in the order of their ids, as appends lock them.
    """
    tag = await database.execute(
        """
        WITH locked AS MATERIALIZED (
            SELECT user_id FROM users ORDER BY user_id FOR NO KEY UPDATE
        )
        UPDATE users SET epoch = replace(gen_random_uuid()::text, '-', '')
        FROM locked WHERE users.user_id = locked.user_id
        """
    )
    return int(tag.removeprefix("UPDATE "))
