"""Monthly statements over HTTP."""
