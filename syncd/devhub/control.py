"""The test's side of the hub over HTTP: what `DevHub` does by calls, under `/control`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from syncd.devhub import binding, exact
from syncd.devhub.client_results import ClientResultError
from syncd.devhub.faults import Faults
from syncd.devhub.protocol import InvocationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncd.devhub.headquarters import Headquarters
    from syncd.devhub.hub import SyncHub


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
        """All of them. A body that cannot be used is answered by 400."""
        return [
            web.get("/control/state", self._state, allow_head=False),
            web.get("/control/arrivals", self._arrivals, allow_head=False),
            web.get("/control/items", self._items, allow_head=False),
            web.get("/control/times", self._times, allow_head=False),
            web.post("/control/reset", self._reset),
            web.put("/control/faults", self._faults),
            web.post("/control/cut", self._cut),
            web.post("/control/feed", self._feed),
            web.post("/control/push", self._push),
            web.post("/control/push-many", self._push_many),
            web.post("/control/invoke", self._invoke),
            web.post("/control/stop", self._stop),
        ]

    async def _state(self, _: web.Request) -> web.Response:
        return _json(self._headquarters.state())

    async def _arrivals(self, request: web.Request) -> web.Response:
        offset, count = _whole(request, "offset", 0), _whole(request, "count", 1000)
        return _json(self._headquarters.arrivals(offset, count))

    async def _items(self, _: web.Request) -> web.Response:
        return _json(self._headquarters.last_items())

    async def _times(self, _: web.Request) -> web.Response:
        return _json(self._headquarters.times())

    async def _reset(self, _: web.Request) -> web.Response:
        self._headquarters.reset()
        return web.Response()

    async def _faults(self, request: web.Request) -> web.Response:
        try:
            self._headquarters.faults = Faults.from_json(await _body(request))
        except ValueError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        return _json(self._headquarters.faults.to_json())

    async def _cut(self, _: web.Request) -> web.Response:
        return _json(self._hub.cut())

    async def _feed(self, request: web.Request) -> web.Response:
        items = await _body(request)
        try:
            self._headquarters.publish(binding.sync_items(items))
        except InvocationError as error:
            raise web.HTTPBadRequest(text="a list of SyncItem is wanted") from error
        return _json(len(items))

    async def _push(self, request: web.Request) -> web.Response:
        method, arguments = await _call(request)
        await self._hub.push(method, arguments, request.query.get("store"))
        return web.Response()

    async def _push_many(self, request: web.Request) -> web.Response:
        """Every `{n}` in the template becomes a running number; `perMessage` above 1 sends lists."""
        body = await _body(request)
        try:
            method, template, first, count = body["method"], body["template"], body["from"], body["count"]
            size = max(1, body.get("perMessage", 1))
            arguments = [exact.loads(template.replace("{n}", str(number)).encode()) for number in range(first, first + count)]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise web.HTTPBadRequest(text="method, template, from, count and perMessage are wanted") from error
        for start in range(0, count, size):
            argument = arguments[start] if size == 1 else arguments[start : start + size]
            await self._hub.push(method, [argument], request.query.get("store"))
        return _json(count)

    async def _invoke(self, request: web.Request) -> web.Response:
        method, arguments = await _call(request)
        try:
            seconds = float(request.query.get("seconds", "10"))
            return _json(await self._hub.invoke(method, arguments, seconds))
        except ValueError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        except LookupError as error:
            return _problem(409, "Conflict", str(error))
        except ClientResultError as error:
            return _problem(502, "Bad Gateway", str(error))

    async def _stop(self, _: web.Request) -> web.Response:
        self._request_stop()
        return web.Response()


async def _body(request: web.Request) -> Any:
    try:
        return exact.loads(await request.read())
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"not JSON: {error}") from error


async def _call(request: web.Request) -> tuple[str, list[object]]:
    body = await _body(request)
    if not isinstance(body, dict) or not isinstance(body.get("method"), str) or not isinstance(body.get("args"), list):
        raise web.HTTPBadRequest(text='{"method": text, "args": list} is wanted')
    return body["method"], body["args"]


def _whole(request: web.Request, name: str, default: int) -> int:
    try:
        return int(request.query.get(name, default))
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"{name} is a whole number") from error


def _json(value: object) -> web.Response:
    return web.Response(body=exact.dumps(value), content_type="application/json", charset="utf-8")


def _problem(status: int, title: str, detail: str) -> web.Response:
    problem = {"title": title, "status": status, "detail": detail}
    return web.Response(status=status, body=exact.dumps(problem), content_type="application/problem+json")
