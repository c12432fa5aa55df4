"""The way into guests by SSH: keys, kept connections, and jobs that outlive them."""
