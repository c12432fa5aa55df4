"""The network of a host's guests: a bridge, address translation, a filter, an address and names for each guest."""
