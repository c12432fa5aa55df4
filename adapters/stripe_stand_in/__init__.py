"""A stateful stand-in for Stripe's API, with its checkout page and its dashboard, for development and for tests."""
