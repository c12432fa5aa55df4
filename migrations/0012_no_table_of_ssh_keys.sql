-- The SSH keys of an account are read from its events, and nobody asked this table any more. Its line goes with it, since
-- the service would be told not to be ready for as long as one of the lines is behind.
DROP TABLE IF EXISTS read_models.ssh_key;
DELETE FROM read_models.projection WHERE name = 'ssh_keys';
