-- When each access token was last used: no event, since reads would write the ledger full; losing it changes nothing.

CREATE SCHEMA tokens;
GRANT USAGE ON SCHEMA tokens TO litevps_service;

CREATE TABLE tokens.last_use (
    token_id uuid   NOT NULL PRIMARY KEY,
    used_at  bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON COLUMN tokens.last_use.used_at IS 'In microseconds since 1970, within a minute.';

GRANT SELECT, INSERT, UPDATE, DELETE ON tokens.last_use TO litevps_service;
