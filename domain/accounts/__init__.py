"""Accounts: who a customer is, how they prove it, and the SSH keys they keep with us."""
