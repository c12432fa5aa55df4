"""Payments: money that comes in by Stripe, and all the ways in which it goes back."""
