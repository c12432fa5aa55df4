"""HTTP: the paths, what holds for every request, and one module a noun."""
