-- The event store: events that can be added and never changed, the heads that order them,
-- the claims that only one append can have, and the one function through which all of it is written.

DO $$
BEGIN
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'the database must be encoded in UTF8, since leaf hashes are over UTF-8 text';
    END IF;
END
$$;

-- The role the service works as. It owns nothing. Roles belong to the whole server, so it may be there already.
DO $$
BEGIN
    CREATE ROLE litevps_service LOGIN NOINHERIT;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

CREATE SCHEMA ledger;
REVOKE ALL ON SCHEMA ledger FROM PUBLIC;
GRANT USAGE ON SCHEMA ledger TO litevps_service;

-- Instants are whole microseconds since 1970 in UTC. Payload and metadata are text, exactly the bytes that
-- are hashed: jsonb would reorder them, and refuses \u0000.
CREATE TABLE ledger.event (
    position    bigint  NOT NULL PRIMARY KEY CHECK (position >= 1),
    stream      uuid    NOT NULL,
    version     integer NOT NULL CHECK (version >= 0),
    type        text    NOT NULL,
    payload     text    NOT NULL,
    metadata    text    NOT NULL,
    happened_at bigint  NOT NULL,
    recorded_at bigint  NOT NULL,
    leaf_hash   bytea   NOT NULL CHECK (octet_length(leaf_hash) = 32),
    CONSTRAINT event_stream_version_key UNIQUE (stream, version)
);

-- Last version of each stream: what an append is checked against.
CREATE TABLE ledger.stream_head (
    stream  uuid    NOT NULL PRIMARY KEY,
    version integer NOT NULL
) WITH (fillfactor = 80);

-- The last position and its time: one row, whose lock puts all appends in one order.
CREATE TABLE ledger.head (
    only_row    boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_row),
    position    bigint  NOT NULL,
    recorded_at bigint  NOT NULL
) WITH (fillfactor = 10);
INSERT INTO ledger.head (position, recorded_at) VALUES (0, 0);

-- What only one append can have: an e-mail address, a payment, an idempotency key.
CREATE TABLE ledger.claim (
    scope      text   NOT NULL,
    key        bytea  NOT NULL,
    holder     uuid   NOT NULL,
    kept       bytea,
    expires_at bigint,
    PRIMARY KEY (scope, key)
);
CREATE INDEX claim_expires_at_index ON ledger.claim (expires_at) WHERE expires_at IS NOT NULL;

-- The last used minute of each VPS. Follows from the events of wallets.
CREATE TABLE ledger.minute_head (
    vps uuid    NOT NULL PRIMARY KEY,
    n   integer NOT NULL CHECK (n >= 1)
) WITH (fillfactor = 80);

-- A cache: deleting every row changes nothing.
CREATE TABLE ledger.snapshot (
    stream  uuid    NOT NULL PRIMARY KEY,
    version integer NOT NULL,
    state   bytea   NOT NULL
);

-- How far each follower has come that keeps its place by the eventsourcing library's tracking.
CREATE TABLE ledger.tracking (
    application_name text   NOT NULL PRIMARY KEY,
    position         bigint NOT NULL
);

CREATE FUNCTION ledger.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'events are never changed: % on ledger.event is refused', TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER event_never_updated_or_deleted BEFORE UPDATE OR DELETE ON ledger.event
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER event_never_truncated BEFORE TRUNCATE ON ledger.event
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
-- ALWAYS: an ordinary trigger is passed by where session_replication_role = replica.
ALTER TABLE ledger.event ENABLE ALWAYS TRIGGER event_never_updated_or_deleted;
ALTER TABLE ledger.event ENABLE ALWAYS TRIGGER event_never_truncated;

-- SHA-256 over 0x00 and each field of the envelope behind its length in 4 bytes; whole numbers are 8 bytes.
CREATE FUNCTION ledger.leaf_hash(
    place bigint, stream uuid, version integer, type text, happened_at bigint, recorded_at bigint,
    metadata text, payload text
) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT pg_catalog.sha256(
        '\x0000000008'::bytea || int8send($1)
        || '\x00000010'::bytea || uuid_send($2)
        || '\x00000008'::bytea || int8send($3)
        || int4send(octet_length($4)) || convert_to($4, 'UTF8')
        || '\x00000008'::bytea || int8send($5)
        || '\x00000008'::bytea || int8send($6)
        || int4send(octet_length($7)) || convert_to($7, 'UTF8')
        || int4send(octet_length($8)) || convert_to($8, 'UTF8')
    )
$$;

-- Records a batch of requests, each wholly or not at all, and tells which were refused and why.
--
-- Every array of one kind has the same length; *_request says which request (0, 1, 2 …) an item belongs to.
-- No two requests of a batch may touch the same stream, claim or VPS: then the batch fails as a whole.
-- any_start: the first version of a new stream may be any; otherwise it is 1.
-- refused_kind: 0 a version, 1 a claim, 2 a minute; refused_item: which claim of the array, counted from 0.
-- Releases come before claims, so a request may give up a claim and take it anew.
CREATE FUNCTION ledger.append(
    any_start boolean,
    event_request integer[], event_stream uuid[], event_version integer[], event_type text[],
    event_payload text[], event_metadata text[], event_happened_at bigint[],
    claim_request integer[], claim_scope text[], claim_key bytea[], claim_holder uuid[],
    claim_kept bytea[], claim_expires_at bigint[],
    release_request integer[], release_scope text[], release_key bytea[],
    minute_request integer[], minute_vps uuid[], minute_from integer[], minute_to integer[],
    OUT last_position bigint, OUT recorded_at bigint,
    OUT refused_request integer[], OUT refused_kind integer[], OUT refused_item integer[]
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    added bigint := cardinality(event_stream);
    refused integer[] := '{}';
    at bigint;
BEGIN
    -- The lock of this row is held until the commit: positions follow the order of commits, without gaps.
    UPDATE ledger.head AS h
    SET position = h.position + added,
        recorded_at = greatest(h.recorded_at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
    RETURNING h.position, h.recorded_at INTO last_position, at;
    recorded_at := at;

    -- Each statement from here on sees what was committed before the lock was ours.
    SELECT array_agg(g.request), array_agg(0), array_agg(0)
    INTO refused_request, refused_kind, refused_item
    FROM (
        SELECT e.request, e.stream, min(e.version) AS first, max(e.version) AS last, count(*) AS events
        FROM unnest(event_request, event_stream, event_version) AS e (request, stream, version)
        GROUP BY e.request, e.stream
    ) AS g
    WHERE g.first - 1 <> coalesce(
            (SELECT s.version FROM ledger.stream_head AS s WHERE s.stream = g.stream),
            CASE WHEN any_start THEN g.first - 1 ELSE 0 END
        )
        OR g.events <> g.last - g.first + 1;

    IF cardinality(claim_request) > 0 THEN
        SELECT refused_request || array_agg(c.request), refused_kind || array_agg(1),
               refused_item || array_agg(c.place::integer - 1)
        INTO refused_request, refused_kind, refused_item
        FROM unnest(claim_request, claim_scope, claim_key) WITH ORDINALITY AS c (request, scope, key, place)
        WHERE EXISTS (
            SELECT FROM ledger.claim AS k
            WHERE k.scope = c.scope AND k.key = c.key AND (k.expires_at IS NULL OR k.expires_at > at)
        ) AND NOT EXISTS (
            SELECT FROM unnest(release_request, release_scope, release_key) AS r (request, scope, key)
            WHERE r.request = c.request AND r.scope = c.scope AND r.key = c.key
        );
    END IF;

    IF cardinality(minute_request) > 0 THEN
        SELECT refused_request || array_agg(m.request), refused_kind || array_agg(2),
               refused_item || array_agg(m.place::integer - 1)
        INTO refused_request, refused_kind, refused_item
        FROM unnest(minute_request, minute_vps, minute_from, minute_to) WITH ORDINALITY
            AS m (request, vps, n_from, n_to, place)
        WHERE m.n_to < m.n_from
            OR m.n_from - 1 <> coalesce((SELECT h.n FROM ledger.minute_head AS h WHERE h.vps = m.vps), 0);
    END IF;

    IF refused_request IS NOT NULL THEN
        refused := refused_request;
        SELECT count(*) INTO added FROM unnest(event_request) AS e (request) WHERE e.request <> ALL (refused);
        UPDATE ledger.head AS h SET position = h.position - cardinality(event_stream) + added
        RETURNING h.position INTO last_position;
    END IF;

    INSERT INTO ledger.event
        (position, stream, version, type, payload, metadata, happened_at, recorded_at, leaf_hash)
    SELECT e.position, e.stream, e.version, e.type, e.payload, e.metadata, e.happened_at, at,
           ledger.leaf_hash(e.position, e.stream, e.version, e.type, e.happened_at, at, e.metadata, e.payload)
    FROM (
        SELECT last_position - added + row_number() OVER (ORDER BY u.place) AS position, u.*
        FROM unnest(event_request, event_stream, event_version, event_type, event_payload, event_metadata,
                    event_happened_at) WITH ORDINALITY
            AS u (request, stream, version, type, payload, metadata, happened_at, place)
        WHERE u.request <> ALL (refused)
    ) AS e;

    INSERT INTO ledger.stream_head AS s (stream, version)
    SELECT e.stream, max(e.version)
    FROM unnest(event_request, event_stream, event_version) AS e (request, stream, version)
    WHERE e.request <> ALL (refused)
    -- By request too: two requests on one stream are two rows here, and fail.
    GROUP BY e.request, e.stream
    ON CONFLICT (stream) DO UPDATE SET version = excluded.version;

    IF cardinality(release_request) > 0 THEN
        DELETE FROM ledger.claim AS k
        USING unnest(release_request, release_scope, release_key) AS r (request, scope, key)
        WHERE k.scope = r.scope AND k.key = r.key AND r.request <> ALL (refused);
    END IF;

    IF cardinality(claim_request) > 0 THEN
        INSERT INTO ledger.claim AS k (scope, key, holder, kept, expires_at)
        SELECT c.scope, c.key, c.holder, c.kept, c.expires_at
        FROM unnest(claim_request, claim_scope, claim_key, claim_holder, claim_kept, claim_expires_at)
            AS c (request, scope, key, holder, kept, expires_at)
        WHERE c.request <> ALL (refused)
        -- What is there has expired: it was looked at above, under the lock.
        ON CONFLICT (scope, key) DO UPDATE
        SET holder = excluded.holder, kept = excluded.kept, expires_at = excluded.expires_at;
    END IF;

    IF cardinality(minute_request) > 0 THEN
        INSERT INTO ledger.minute_head AS h (vps, n)
        SELECT m.vps, m.n_to
        FROM unnest(minute_request, minute_vps, minute_to) AS m (request, vps, n_to)
        WHERE m.request <> ALL (refused)
        ON CONFLICT (vps) DO UPDATE SET n = excluded.n;
    END IF;

    IF added > 0 THEN
        -- Wakes those who wait; they look for themselves, and look now and then without it.
        PERFORM pg_notify('ledger_head', last_position::text);
    END IF;
END
$$;

-- Deletes claims that have expired, at most so many at once; returns how many.
CREATE FUNCTION ledger.sweep_claims(at_most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    swept bigint;
BEGIN
    WITH expired AS (
        SELECT c.scope, c.key FROM ledger.claim AS c
        WHERE c.expires_at <= (SELECT h.recorded_at FROM ledger.head AS h)
        ORDER BY c.expires_at
        LIMIT least(at_most, 10000)
        FOR UPDATE SKIP LOCKED
    )
    DELETE FROM ledger.claim AS c USING expired AS e WHERE c.scope = e.scope AND c.key = e.key;
    GET DIAGNOSTICS swept = ROW_COUNT;
    RETURN swept;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.append, ledger.sweep_claims, ledger.leaf_hash TO litevps_service;
GRANT SELECT ON ledger.event, ledger.stream_head, ledger.head, ledger.claim, ledger.minute_head TO litevps_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.snapshot, ledger.tracking TO litevps_service;
