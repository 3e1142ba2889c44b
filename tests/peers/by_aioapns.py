"""aioapns: an asynchronous APNs client on Python's own HTTP/2 (hyper-h2)."""

import asyncio
import secrets
import ssl
from unittest import mock
from urllib.parse import urlparse

from aioapns import APNs, NotificationRequest, PushType
from aioapns import connection as aioapns_connection

from stage import promise


def client(simulator, key="apns_key", key_id=None, sandbox=False):
    """aioapns knows Apple's hosts only; these two attributes are where."""
    for kind, url in (
        (aioapns_connection.APNsProductionClientProtocol, simulator.site["apns_url"]),
        (aioapns_connection.APNsDevelopmentClientProtocol, simulator.site["apns_sandbox_url"]),
    ):
        kind.APNS_SERVER, kind.APNS_PORT = urlparse(url).hostname, urlparse(url).port
    with open(simulator.file(key), encoding="utf-8") as file:
        pem = file.read()
    return APNs(
        key=pem, key_id=key_id or simulator.site["apns_key_id"], team_id=simulator.site["team_id"],
        topic=simulator.site["topic"], use_sandbox=sandbox, max_connections=1,
        ssl_context=ssl.create_default_context(cafile=simulator.file("ca")),
    )


def request(token=None, message=None, **parts):
    message = message or {"aps": {"alert": {"title": "Cảnh báo lũ quét"}}, "id": "CB-1", "v": "1"}
    parts.setdefault("push_type", PushType.ALERT)
    return NotificationRequest(device_token=token or secrets.token_hex(32), message=message, **parts)


@promise
async def a_notification_is_accepted_and_arrives_as_it_was_sent(simulator):
    sent = request(collapse_key="flood-apns", priority=10, time_to_live=3600)
    answer = await client(simulator).send_notification(sent)
    assert answer.is_successful, answer.description
    [push] = simulator.pushes(sent.device_token)
    assert push["payload"] == sent.message
    assert push["headers"]["apns-collapse-id"] == "flood-apns"
    assert push["headers"]["apns-id"] == sent.notification_id == answer.notification_id
    assert simulator.report("flood-apns")["per_provider"]["apns"]["unique_devices"] == 1


@promise
async def a_dead_token_is_410_with_the_time_in_milliseconds(simulator):
    answer = await client(simulator).send_notification(request("dead00004101" + "00" * 26))
    assert (answer.status, answer.description) == ("410", "Unregistered")
    assert int(answer.timestamp) > 1_600_000_000_000


@promise
async def what_is_wrong_with_a_request_has_its_reason(simulator):
    to = client(simulator)
    for expected, wrong in {
        "BadDeviceToken": request("zz" * 32),
        "PayloadTooLarge": request(message={"aps": {"alert": "x" * 4100}}),
        "BadCollapseId": request(collapse_key="x" * 65),
        "TopicDisallowed": request(apns_topic="com.other.app"),
        "BadPriority": request(priority=7),
        "MissingDeviceToken": request(""),
    }.items():
        if expected == "MissingDeviceToken":
            wrong.device_token = ""
        answer = await to.send_notification(wrong)
        assert answer.description == expected, (expected, answer.status, answer.description)


@promise
async def another_key_under_the_right_name_is_an_invalid_provider_token(simulator):
    answer = await client(simulator, key="apns_second_key").send_notification(request())
    assert (answer.status, answer.description) == ("403", "InvalidProviderToken")


@promise
async def a_token_older_than_an_hour_has_expired(simulator):
    to = client(simulator)
    now = aioapns_connection.time.time()
    with mock.patch.object(aioapns_connection.time, "time", lambda: now - 3700):
        answer = await to.send_notification(request())
    assert (answer.status, answer.description) == ("403", "ExpiredProviderToken")


@promise
async def a_sandbox_key_does_not_open_production(simulator):
    key = {"key": "apns_sandbox_key", "key_id": "LOA3SBX6K7"}
    answer = await client(simulator, **key).send_notification(request())
    assert (answer.status, answer.description) == ("403", "BadEnvironmentKeyIdInToken")
    assert (await client(simulator, sandbox=True, **key).send_notification(request())).is_successful


@promise
async def a_production_token_is_unknown_in_the_sandbox(simulator):
    token = next(device["token"] for device in simulator.devices if device["kind"] == "apns")
    answer = await client(simulator, sandbox=True).send_notification(request(token))
    assert (answer.status, answer.description) == ("400", "BadDeviceToken")


@promise
async def one_stream_at_first_then_hundreds_and_every_device_exactly_once(simulator):
    devices = [device["token"] for device in simulator.devices if device["kind"] == "apns"]
    to = client(simulator)
    first = await to.send_notification(request(devices[0], collapse_key="many-apns"))
    rest = [to.send_notification(request(token, collapse_key="many-apns")) for token in devices[1:]]
    answers = [first, *await asyncio.gather(*rest)]
    apns = simulator.report("many-apns")["per_provider"]["apns"]
    assert sum(answer.is_successful for answer in answers) == apns["accepted"] == apns["unique_devices"]
    assert apns["errors"] == {"Unregistered": len(devices) - apns["accepted"]}
    assert apns["lost_live"] == apns["duplicates"] == 0


@promise
async def after_goaway_the_client_comes_back_on_another_connection(simulator):
    to = client(simulator)
    before, after = request(), request()
    assert (await to.send_notification(before)).is_successful
    [connection] = to.pool.connections
    gone, discard = asyncio.Event(), connection.on_connection_lost
    connection.on_connection_lost = lambda lost: (discard(lost), gone.set())
    notice = {"debug": '{"reason":"Shutdown"}', "close_after_ms": 10}
    simulator.post("goaway", {"provider": "apns", "notice": notice})
    await asyncio.wait_for(gone.wait(), 10)
    assert (await to.send_notification(after)).is_successful
    [first], [second] = simulator.pushes(before.device_token), simulator.pushes(after.device_token)
    assert first["connection"] != second["connection"]
