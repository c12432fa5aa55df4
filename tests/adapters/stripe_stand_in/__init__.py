"""The stand-in for Stripe, used by the official client."""
