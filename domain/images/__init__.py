"""Images: what a guest's disk starts from, which of them there are, and the templates that name them."""
