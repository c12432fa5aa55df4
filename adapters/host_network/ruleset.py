"""Writes the filter of guests for ``nft``: what is fixed is in ``filter.nft``, a guest is elements of its sets."""

from collections.abc import Iterable
from pathlib import Path

from adapters.host_network.plan import TABLE, GuestEntry, NetworkPlan
from domain.compute.egress import NEVER_REACHED

MAIL_PORTS = "25, 465, 587"
_NOWHERE = "litevps-none"
"""An interface that nobody has: what leads there leads nowhere."""
_FIXED = (Path(__file__).parent / "filter.nft").read_text()
_FILLED = {
    "bridge": {"cards": "set", "bound": "set"},
    "inet": {
        "never": "set",
        "guarded": "set",
        "current": "set",
        "networks": "set",
        "marks": "map",
        "policies": "map",
        "resolvers": "map",
        "ssh": "map",
    },
}
"""What is emptied and filled anew whenever a guest comes, changes or goes."""


def write_filter(plan: NetworkPlan, entries: Iterable[GuestEntry], *, guard_uplink: bool) -> str:
    """Return the whole filter as one transaction for ``nft -f``. Loaded again, it changes nothing.

    What was found out while it ran (names resolved, denials, rates) stays. ``guard_uplink``: this machine forwarded
    nothing before there were guests, and is to forward nothing else now.
    """
    # A port that nothing can be at stands for none: a set must not be empty where it is written out.
    defined = {
        "uplink": f'"{plan.uplink or _NOWHERE}"',
        "network": str(plan.network),
        "mail_ports": "{ 0 }" if plan.smtp else f"{{ {MAIL_PORTS} }}",
    }
    definitions = "".join(f"define {name} = {value}\n" for name, value in defined.items())
    return definitions + _FIXED + _elements(plan, entries, guard_uplink=guard_uplink)


def delete_tables() -> str:
    """Return what takes the filter away, whether it is there or not."""
    return "".join(f"add table {family} {TABLE}\ndelete table {family} {TABLE}\n" for family in _FILLED)


def _elements(plan: NetworkPlan, entries: Iterable[GuestEntry], *, guard_uplink: bool) -> str:
    filled: dict[str, list[str]] = {name: [] for names in _FILLED.values() for name in names}
    filled["never"] = list(map(str, (*NEVER_REACHED, *plan.denied)))
    if plan.uplink and guard_uplink:
        filled["guarded"] = [f'"{plan.uplink}"']
    for entry in entries:
        _add(filled, plan, entry)
    lines = []
    for family, names in _FILLED.items():
        for name, kind in names.items():
            lines.append(f"flush {kind} {family} {TABLE} {name}\n")
            if filled[name]:
                lines.append(f"add element {family} {TABLE} {name} {{ {', '.join(filled[name])} }}\n")
    return "".join(lines)


def _add(filled: dict[str, list[str]], plan: NetworkPlan, entry: GuestEntry) -> None:
    address, port = plan.address_of(entry.ssh_port), plan.bridge_port_of(entry.ssh_port)
    filled["cards"].append(f'"{port}" . {entry.mac}')
    filled["bound"].append(f'"{port}" . {entry.mac} . {address}')
    filled["ssh"].append(f"{entry.ssh_port} : {address} . 22")
    if entry.egress.mode == "none":
        return
    filled["current"].append(f"{address} . {entry.mark:#x}")
    filled["marks"].append(f"{address} : {entry.mark:#x}")
    # What a list leads to is asked again of each new connection; what is open needs no more than the mark.
    verdict, resolver = ("accept", "ask_any") if entry.egress.mode == "open" else ("goto allow", "ask_listed")
    filled["policies"].append(f"{address} : {verdict}")
    filled["resolvers"].append(f"{address} : goto {resolver}")
    filled["networks"].extend(f"{entry.mark:#x} . {network}" for network in entry.egress.networks)
