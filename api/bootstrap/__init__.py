"""From settings to adapters to one runtime: the only room that knows every other."""
