"""What `expand` asks for: ids replaced by the objects that they name, and lists that are left out unless asked for."""

from typing import Any

from adapters.stripe_stand_in.errors import ApiError
from adapters.stripe_stand_in.objects import StripeObjects
from adapters.stripe_stand_in.parameters import Parameters
from adapters.stripe_stand_in.storage import Body

DEPTH_MAX = 4


def expand(objects: StripeObjects, body: Body, parameters: Parameters) -> Body:
    """Expand a shown body in place, and return it. Raises ApiError for what cannot be expanded."""
    for path in parameters.texts("expand"):
        parts = path.split(".")
        if len(parts) - (parts[0] == "data") > DEPTH_MAX:
            raise ApiError(f"You cannot expand more than {DEPTH_MAX} levels of a property.", param="expand")
        _walk(objects, body, parts, path)
    return body


def _walk(objects: StripeObjects, place: Any, parts: list[str], path: str) -> None:
    if not parts or place is None:
        return
    if isinstance(place, list):
        for item in place:
            _walk(objects, item, parts, path)
        return
    if not isinstance(place, dict):
        raise _unexpandable(path)
    name = parts[0]
    if name not in place:
        place[name] = _left_out(objects, place, name, path)
    elif isinstance(place[name], str):
        named = objects.find(place[name])
        if named is None:
            raise _unexpandable(path)
        place[name] = objects.shown(named)
    _walk(objects, place[name], parts[1:], path)


def _left_out(objects: StripeObjects, place: Body, name: str, path: str) -> Body:
    if (place.get("object"), name) == ("checkout.session", "line_items"):
        kept = objects.get("checkout.session", place["id"])
        return whole_list(f"/v1/checkout/sessions/{place['id']}/line_items", kept["_line_items"])
    if (place.get("object"), name) == ("charge", "refunds"):
        refunds = [objects.shown(refund) for refund in objects.every("refund", charge=place["id"])]
        return whole_list(f"/v1/charges/{place['id']}/refunds", refunds[::-1])
    raise _unexpandable(path)


def whole_list(url: str, items: list[Body]) -> Body:
    """Return a list object that holds all there is."""
    return {"object": "list", "url": url, "has_more": False, "data": items}


def _unexpandable(path: str) -> ApiError:
    return ApiError(f"This property cannot be expanded ({path}).", param="expand")
