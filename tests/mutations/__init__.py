"""Mutations: what protects the money is taken out, piece by piece, and a test must notice."""
