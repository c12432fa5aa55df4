-- Work: who is at what, and the output of jobs. Dropping the leases costs nothing but work done twice.

CREATE SCHEMA work;
GRANT USAGE ON SCHEMA work TO litevps_service;

-- Unlogged: after a crash of the database nobody holds anything, which is as true as what was lost.
CREATE UNLOGGED TABLE work.lease (
    scope        text        NOT NULL,
    key          uuid        NOT NULL,
    holder       uuid,
    leased_until timestamptz NOT NULL,
    attempts     integer     NOT NULL DEFAULT 0,
    PRIMARY KEY (scope, key)
) WITH (fillfactor = 50);
COMMENT ON COLUMN work.lease.leased_until IS 'Until then it is its holder''s; without one, it is to be left alone.';
COMMENT ON COLUMN work.lease.attempts IS 'How often it was given back undone.';
GRANT SELECT, INSERT, UPDATE, DELETE ON work.lease TO litevps_service;

-- Output is no event: it is large, and it goes when its account goes. The events keep sizes and digests.
CREATE TABLE work.job_output (
    job_id     uuid        NOT NULL PRIMARY KEY,
    account_id uuid        NOT NULL,
    stdout     text        NOT NULL,
    stderr     text        NOT NULL,
    kept_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE work.job_output IS 'Sealed under the key of the account.';
CREATE INDEX job_output_of_account ON work.job_output (account_id);
GRANT SELECT, INSERT, DELETE ON work.job_output TO litevps_service;
