-- One-time links that open the same user on a second device: five minutes, one use, one a session.
--
-- Unlogged, as tickets are: what a crash loses is made anew.

CREATE UNLOGGED TABLE links (
    session_id uuid PRIMARY KEY, -- who showed it: a newer link of theirs replaces it
    link_hash  bytea NOT NULL UNIQUE,
    user_id    uuid NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX links_by_expiry ON links (expires_at);
