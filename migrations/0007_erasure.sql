-- Deletes the answers that were kept for requests of an account, before they expire; returns how many.
--
-- No other claim can be deleted by it: claims on addresses, payments and tokens are given up by appends alone.
CREATE FUNCTION ledger.forget_answers(account uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    forgotten bigint;
BEGIN
    DELETE FROM ledger.claim AS c WHERE c.scope = 'idempotency' AND c.holder = account;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;

REVOKE ALL ON FUNCTION ledger.forget_answers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.forget_answers TO litevps_service;
