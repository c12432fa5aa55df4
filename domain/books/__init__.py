"""The books: what every event means in double entry, over one chart of accounts."""
