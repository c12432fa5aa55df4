-- Counts of tries, shared by all processes. Which quota and whom a row is about is told by a digest only.

CREATE SCHEMA throttle;
GRANT USAGE ON SCHEMA throttle TO litevps_service;

-- Unlogged: a crash of the database lets everybody begin anew, which is no harm.
CREATE UNLOGGED TABLE throttle.tries (
    key     bytea   NOT NULL PRIMARY KEY,
    ends_at bigint  NOT NULL,
    count   integer NOT NULL
) WITH (fillfactor = 50);
COMMENT ON COLUMN throttle.tries.ends_at IS 'When the window ends, in microseconds since 1970.';
CREATE INDEX tries_ended ON throttle.tries (ends_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON throttle.tries TO litevps_service;
