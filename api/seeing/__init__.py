"""Seeing money: what customers are told of their transactions, their usage, and each charge."""
