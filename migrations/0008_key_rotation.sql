-- Which master key wraps what is new, and secrets that outlive every master key.

CREATE TABLE sealing.master_key (
    id         bytea       NOT NULL PRIMARY KEY,
    wraps      boolean     NOT NULL,
    made_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at timestamptz,
    CONSTRAINT what_wraps_is_not_retired CHECK (NOT wraps OR retired_at IS NULL)
);
COMMENT ON COLUMN sealing.master_key.id IS 'Derived from the key, which is nowhere in the database.';
CREATE UNIQUE INDEX master_key_that_wraps ON sealing.master_key (wraps) WHERE wraps;

CREATE TABLE sealing.secret (
    name       text        NOT NULL PRIMARY KEY,
    wrapped    bytea       NOT NULL,
    made_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    signs_from bigint,
    ends_at    bigint
);
COMMENT ON COLUMN sealing.secret.signs_from IS 'Of a key that signs sessions: when it begins to, in microseconds since 1970.';
COMMENT ON COLUMN sealing.secret.ends_at IS 'From when on nothing that it signed is believed; NULL: not known yet.';

GRANT SELECT, INSERT ON sealing.master_key, sealing.secret TO litevps_service;
GRANT UPDATE (wraps, retired_at) ON sealing.master_key TO litevps_service;
GRANT UPDATE (wrapped, ends_at) ON sealing.secret TO litevps_service;
