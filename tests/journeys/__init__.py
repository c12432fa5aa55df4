"""Journeys: what people come for, from beginning to end."""
