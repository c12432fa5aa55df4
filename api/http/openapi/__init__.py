"""The OpenAPI document, and the reference pages that are made of it."""
