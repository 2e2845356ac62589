"""The test's side of the hub over HTTP: what `DevHub` does by calls, under `/control`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from syncd.devhub import asked, binding, exact
from syncd.devhub.asked import MistakeError
from syncd.devhub.client_results import ClientResultError
from syncd.devhub.endpoint import HUB_PATH
from syncd.devhub.faults import Faults
from syncd.devhub.protocol import InvocationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncd.devhub.headquarters import Headquarters
    from syncd.devhub.hub import SyncHub

MAX_PUSHES = 1_000_000
"""Of one push-many: all are made before the first is sent."""
ENDPOINTS = {
    "GET /control/state": "everything counted so far",
    "GET /control/items": "the last 1000 rows as they arrived first, oldest first",
    "GET /control/arrivals?offset=0&count=1000": "correlation ids in the order of their first arrival",
    "GET /control/times": "every negotiate and connect, Unix milliseconds",
    "GET /control/faults": "the faults in force",
    "PUT /control/faults": '{"refuseEvery": 10}: these faults, all others off',
    "POST /control/push?store=7": '{"method": "ReceivePriceUpdate", "args": [...]} to all stores, or to one; answers how many that are',
    "POST /control/push-many?store=7": '{"method", "template", "from", "count", "perMessage"}: {n} in the template is a running number',
    "POST /control/invoke?store=7&seconds=10": "as push, to the newest connection, and answers with the store's result",
    "POST /control/feed": "[SyncItem, ...] added to what RequestBatchSync gives",
    "POST /control/cut": "ends every connection; answers how many",
    "POST /control/reset": "forgets everything, faults and feed too",
    "POST /control/stop": "ends the hub",
}
"""Every call and what it does. One that has a mistake is answered by 400 with what is wrong, and changes nothing."""
_CALLS = "There are:\n" + "".join(f"  {call}\n      {meaning}\n" for call, meaning in ENDPOINTS.items())


class Control:
    """Handlers for one hub.

    Args:
        stop: begins to stop the server, and returns at once.
    """

    def __init__(self, hub: SyncHub, headquarters: Headquarters, stop: Callable[[], None]) -> None:
        self._hub = hub
        self._headquarters = headquarters
        self._request_stop = stop

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.get("/control/state", self._state, allow_head=False),
            web.get("/control/arrivals", self._arrivals, allow_head=False),
            web.get("/control/items", self._items, allow_head=False),
            web.get("/control/times", self._times, allow_head=False),
            web.get("/control/faults", self._faults, allow_head=False),
            web.post("/control/reset", self._reset),
            web.put("/control/faults", self._set_faults),
            web.post("/control/cut", self._cut),
            web.post("/control/feed", self._feed),
            web.post("/control/push", self._push),
            web.post("/control/push-many", self._push_many),
            web.post("/control/invoke", self._invoke),
            web.post("/control/stop", self._stop),
            web.get("/", self._help, allow_head=False),
            web.route("*", "/control{tail:.*}", self._unknown),
        ]

    @web.middleware
    async def with_mistakes(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Answers a request that has a mistake by 400."""
        try:
            return await handler(request)  # type: ignore[no-any-return]
        except MistakeError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error

    async def _state(self, request: web.Request) -> web.Response:
        asked.parameters(request)
        return _json(self._headquarters.state())

    async def _arrivals(self, request: web.Request) -> web.Response:
        given = asked.parameters(request, "offset", "count")
        return _json(self._headquarters.arrivals(asked.whole(given, "offset", 0), asked.whole(given, "count", 1000)))

    async def _items(self, request: web.Request) -> web.Response:
        asked.parameters(request)
        return _json(self._headquarters.last_items())

    async def _times(self, request: web.Request) -> web.Response:
        asked.parameters(request)
        return _json(self._headquarters.times())

    async def _faults(self, request: web.Request) -> web.Response:
        asked.parameters(request)
        return _json(self._headquarters.faults.to_json())

    async def _reset(self, request: web.Request) -> web.Response:
        await _nothing_asked(request)
        self._headquarters.reset()
        return web.Response()

    async def _set_faults(self, request: web.Request) -> web.Response:
        asked.parameters(request)
        wanted = await asked.body(request)
        try:
            faults = Faults.from_json(wanted)
        except ValueError as error:
            raise MistakeError(str(error)) from error
        self._hub.set_faults(faults)
        return _json(self._headquarters.faults.to_json())

    async def _cut(self, request: web.Request) -> web.Response:
        await _nothing_asked(request)
        return _json(self._hub.cut())

    async def _feed(self, request: web.Request) -> web.Response:
        asked.parameters(request)
        items = await asked.body(request)
        for item in items if isinstance(items, list) else ():
            asked.known_names(item, binding.SYNC_ITEM_FIELDS)
        try:
            self._headquarters.publish(binding.sync_items(items))
        except InvocationError as error:
            raise MistakeError("a list of SyncItem is wanted, each field of its own type") from error
        return _json(len(items))

    async def _push(self, request: web.Request) -> web.Response:
        given = asked.parameters(request, "store")
        call = asked.fields(await asked.body(request), {"method": str, "args": list})
        return _json(await self._hub.push(call["method"], [call["args"]], given.get("store")))

    async def _push_many(self, request: web.Request) -> web.Response:
        """Every `{n}` in the template becomes a running number; `perMessage` above 1 sends lists."""
        given = asked.parameters(request, "store")
        wanted = {"method": str, "template": str, "from": int, "count": int, "perMessage": int}
        many = asked.fields(await asked.body(request), wanted, perMessage=1)
        size, count = many["perMessage"], many["count"]
        if size < 1 or not 0 <= count <= MAX_PUSHES:
            raise MistakeError(f"perMessage is at least 1, and count from 0 to {MAX_PUSHES:,}")
        try:
            numbers = range(many["from"], many["from"] + count)
            arguments = [exact.loads(many["template"].replace("{n}", str(number)).encode()) for number in numbers]
        except ValueError as error:
            raise MistakeError(f"the template is not JSON: {error}") from error
        messages = [[arguments[start] if size == 1 else arguments[start : start + size]] for start in range(0, count, size)]
        await self._hub.push(many["method"], messages, given.get("store"))
        return _json(count)

    async def _invoke(self, request: web.Request) -> web.Response:
        given = asked.parameters(request, "seconds", "store")
        limit = asked.seconds(given, "seconds", 10)
        call = asked.fields(await asked.body(request), {"method": str, "args": list})
        try:
            return _json(await self._hub.invoke(call["method"], call["args"], limit, given.get("store")))
        except LookupError as error:
            return _problem(409, "Conflict", str(error))
        except ClientResultError as error:
            return _problem(502, "Bad Gateway", str(error))

    async def _stop(self, request: web.Request) -> web.Response:
        await _nothing_asked(request)
        self._request_stop()
        return web.Response()

    async def _unknown(self, request: web.Request) -> web.Response:
        raise web.HTTPNotFound(text=f"there is no {request.method} {request.path}. {_CALLS}")

    async def _help(self, _: web.Request) -> web.Response:
        return web.Response(text=f"syncd's development hub: stores connect to {HUB_PATH}. {_CALLS}")


async def _nothing_asked(request: web.Request) -> None:
    asked.parameters(request)
    await asked.no_body(request)


def _json(value: object) -> web.Response:
    return web.Response(body=exact.dumps(value), content_type="application/json", charset="utf-8")


def _problem(status: int, title: str, detail: str) -> web.Response:
    problem = {"title": title, "status": status, "detail": detail}
    return web.Response(status=status, body=exact.dumps(problem), content_type="application/problem+json")
