"""Payments: what Stripe is asked and what it tells."""
