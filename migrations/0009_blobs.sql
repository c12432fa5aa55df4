-- Texts that are too large for events, and the output of jobs: sealed, by the stream and the field that they belong to.

CREATE TABLE work.blob (
    stream      uuid        NOT NULL,
    field       text        NOT NULL,
    account_id  uuid        NOT NULL,
    sealed      text        NOT NULL,
    is_recorded boolean     NOT NULL DEFAULT false,
    kept_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (stream, field)
);
COMMENT ON TABLE work.blob IS 'Sealed under the key of the account; what an event tells of it is the digest of the sealed text.';
COMMENT ON COLUMN work.blob.is_recorded IS 'Something was recorded in the stream when it was last looked at: it is not swept.';
-- What is sealed does not compress.
ALTER TABLE work.blob ALTER COLUMN sealed SET STORAGE EXTERNAL;
CREATE INDEX blob_of_account ON work.blob (account_id);
CREATE INDEX blob_to_look_at ON work.blob (kept_at) WHERE NOT is_recorded;
GRANT SELECT, INSERT, DELETE ON work.blob TO litevps_service;
GRANT UPDATE (is_recorded) ON work.blob TO litevps_service;

-- The stream of a job has the job's id.
INSERT INTO work.blob (stream, field, account_id, sealed, is_recorded, kept_at)
SELECT o.job_id, s.field, o.account_id, s.sealed, true, o.kept_at
FROM work.job_output AS o CROSS JOIN LATERAL (VALUES ('stdout', o.stdout), ('stderr', o.stderr)) AS s (field, sealed);
DROP TABLE work.job_output;
