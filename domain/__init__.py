"""The business: what an account, a wallet, a VPS and a job may do, with no clock, dice or I/O."""
