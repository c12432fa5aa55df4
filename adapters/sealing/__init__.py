"""Sealing of personal text: a key per account under one master key, so that erasing a key forgets a person."""
