-- What hosts measured of their guests within about the last hour: a ring a VPS, of a row each ten seconds.

-- Unlogged: it is no ledger fact, is written all the time, and what a crash of the database takes is an hour of curves.
-- A row is written over by the one an hour later, so the table does not grow with time; the key tells first when, since
-- what is asked for of all VPSs at once is the newest.
CREATE UNLOGGED TABLE work.guest_metrics (
    slot             smallint NOT NULL,
    vps_id           uuid     NOT NULL,
    host_id          uuid     NOT NULL,
    measured_at      bigint   NOT NULL,
    generation       integer  NOT NULL,
    cpu_ns           bigint   NOT NULL,
    memory_bytes     bigint   NOT NULL,
    disk_read        bigint   NOT NULL,
    disk_written     bigint   NOT NULL,
    network_received bigint,
    network_sent     bigint,
    PRIMARY KEY (slot, vps_id)
) WITH (fillfactor = 60);
COMMENT ON TABLE work.guest_metrics IS 'Counters as hosts told them, since the start of that generation; bytes.';
GRANT SELECT, INSERT, UPDATE, DELETE ON work.guest_metrics TO litevps_service;
