"""Pricing: the plans, and which price was in force when."""
