"""Queries about money: transactions, usage, where a charge comes from."""
