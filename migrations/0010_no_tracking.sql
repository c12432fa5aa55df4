-- Followers that use the eventsourcing library keep their places beside what they fold, in one transaction with it: a
-- place that is kept here may be past what the follower has, or behind it.
DROP TABLE ledger.tracking;
