"""Tests of sealing: what is sealed comes back only as it was, and not at all once the key is gone."""
