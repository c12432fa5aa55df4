-- The schema of the read models and their positions. Their tables are made by the read models themselves
-- (litevps migrate), since each of them can be dropped and rebuilt from the events at any time.

CREATE SCHEMA read_models;

CREATE TABLE read_models.projection (
    name text PRIMARY KEY,
    shape text NOT NULL,
    position bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
    failed_at bigint,
    failure text
);

COMMENT ON COLUMN read_models.projection.shape IS 'What the tables were made from; another one asks for a rebuild.';
COMMENT ON COLUMN read_models.projection.position IS 'All up to here is folded in; moved in the transaction that folds.';
COMMENT ON COLUMN read_models.projection.failed_at IS 'Position of the event that could not be folded; NULL: none.';

GRANT USAGE ON SCHEMA read_models TO litevps_service;
GRANT SELECT, UPDATE ON read_models.projection TO litevps_service;
