-- The key of each account, wrapped by a master key that is kept outside the database. A schema of its own,
-- so that it can be backed up apart from events: whoever has the events alone reads nobody's name in them.

CREATE SCHEMA sealing;

CREATE TABLE sealing.account_key (
    account_id uuid PRIMARY KEY,
    wrapped bytea,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    erased_at timestamptz,
    -- An erased key leaves its row, so that no other key is ever made for the account.
    CONSTRAINT account_key_is_there_or_erased CHECK ((wrapped IS NULL) = (erased_at IS NOT NULL))
);

GRANT USAGE ON SCHEMA sealing TO litevps_service;
GRANT SELECT, INSERT, UPDATE (wrapped, erased_at) ON sealing.account_key TO litevps_service;
