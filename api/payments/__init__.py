"""Payments as they are dealt with: money asked for, received, given back, and compared with what Stripe holds."""
