"""The simulator as the peers see it, and the list of what is to be shown. Knows no client."""

import inspect
import json
import traceback
from pathlib import Path

import requests


class Simulator:
    """A running loa-sim, found through the sim.json in its directory."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.site = json.loads((self.directory / "sim.json").read_text())
        lines = (self.directory / "devices.ndjson").read_text().splitlines()
        self.devices = [json.loads(line) for line in lines]

    def _call(self, method, path, **arguments):
        answer = requests.request(method, f"{self.site['control_url']}/control/{path}", timeout=10, **arguments)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def pushes(self, token):
        """The recorded requests for this address, oldest first."""
        return self._call("GET", "pushes", params={"token": token})

    def report(self, cid):
        return self._call("GET", "report", params={"cid": cid})

    def settings(self, patch):
        return self._call("POST", "settings", json=patch)

    def script(self, rule):
        self._call("POST", "script", json=rule)

    def post(self, path, body=None):
        return self._call("POST", path, json=body or {})

    def subscription(self, opaque, vapid_key=None):
        """A browser's PushSubscription; bound to `vapid_key` if one is given."""
        if vapid_key:
            return self._call("POST", "subscription", json={"opaque": opaque, "vapid_key": vapid_key})
        return self._call("GET", "subscription", params={"opaque": opaque})

    def file(self, name):
        return self.site["files"][name]


PROMISES = []


def promise(function):
    """Marks a function as something to be shown. Its name says what."""
    PROMISES.append(function)
    return function


def raises(kind, call):
    """The exception of this kind that `call` ends with."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


async def keep_all(simulator):
    """Shows every promise; returns how many were kept and how many were not."""
    passed = failed = 0
    for function in PROMISES:
        name = f"{function.__module__}: {function.__name__.replace('_', ' ')}"
        try:
            outcome = function(simulator)
            if inspect.isawaitable(outcome):
                await outcome
            print(f"ok      {name}", flush=True)
            passed += 1
        except Exception:
            print(f"FAILED  {name}", flush=True)
            traceback.print_exc()
            failed += 1
    return passed, failed
