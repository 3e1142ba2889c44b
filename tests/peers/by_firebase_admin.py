"""firebase-admin: Google's own client, over HTTP/1.1 (send) and HTTP/2 (send_each_async)."""

import json
import uuid

import firebase_admin
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from firebase_admin import credentials, exceptions, messaging

from stage import promise, raises


def app(simulator, account=None):
    """An app of its own, so that nothing is remembered from one promise to the next."""
    messaging._MessagingService.FCM_URL = simulator.site["fcm_url"] + "/v1/projects/{0}/messages:send"
    certificate = credentials.Certificate(account or simulator.file("fcm_service_account"))
    return firebase_admin.initialize_app(certificate, name=str(uuid.uuid4()))


def send(simulator, token, to=None, **parts):
    parts.setdefault("data", {"cid": "peers", "id": "1", "v": "1"})
    return messaging.send(messaging.Message(token=token, **parts), app=to or app(simulator))


@promise
def a_message_is_accepted_and_arrives_as_it_was_sent(simulator):
    token = "peer:" + uuid.uuid4().hex
    android = messaging.AndroidConfig(priority="high", ttl=3600, direct_boot_ok=True)
    name = send(simulator, token, data={"cid": "flood", "id": "CB-1", "v": "1", "title": "Cảnh báo lũ quét"}, android=android)
    assert name.startswith(f"projects/{simulator.site['project_id']}/messages/"), name
    [push] = simulator.pushes(token)
    assert push["status"] == 200
    assert push["payload"]["message"]["data"]["title"] == "Cảnh báo lũ quét"
    assert push["payload"]["message"]["android"]["ttl"] == "3600s"
    assert simulator.report("flood")["per_provider"]["fcm"]["unique_devices"] == 1


@promise
def a_notification_with_every_android_field_passes_the_schema(simulator):
    notification = messaging.AndroidNotification(
        title="a", body="b", icon="i", color="#00ff00", sound="default", tag="t", click_action="c",
        body_loc_key="k", body_loc_args=["1"], title_loc_key="k", title_loc_args=["1"], channel_id="emergency",
        ticker="t", sticky=True, local_only=False, priority="max", vibrate_timings_millis=[100, 250],
        default_vibrate_timings=False, default_sound=True, visibility="public", notification_count=3,
        light_settings=messaging.LightSettings("#00ff0080", 100, 200), default_light_settings=False,
    )
    send(simulator, "peer:full", android=messaging.AndroidConfig(
        collapse_key="k", priority="normal", restricted_package_name="p", notification=notification,
        fcm_options=messaging.AndroidFCMOptions("label")),
        apns=messaging.APNSConfig(headers={"apns-priority": "10"}, payload=messaging.APNSPayload(messaging.Aps(badge=1))),
        webpush=messaging.WebpushConfig(headers={"TTL": "300"}, data={"a": "b"}))


@promise
def a_dead_token_is_an_unregistered_error(simulator):
    raises(messaging.UnregisteredError, lambda: send(simulator, "peer:sim-UNREGISTERED"))


@promise
def each_error_code_is_the_exception_google_means_by_it(simulator):
    to = app(simulator)
    for code, kind in {
        "SENDER_ID_MISMATCH": messaging.SenderIdMismatchError,
        "QUOTA_EXCEEDED": messaging.QuotaExceededError,
        "THIRD_PARTY_AUTH_ERROR": messaging.ThirdPartyAuthError,
        "INVALID_ARGUMENT": exceptions.InvalidArgumentError,
        "PERMISSION_DENIED": exceptions.PermissionDeniedError,
        "html-401": exceptions.UnauthenticatedError,
        "html-502": exceptions.FirebaseError,
    }.items():
        raises(kind, lambda: send(simulator, f"peer:sim-{code}", to))


@promise
def a_server_error_is_tried_again_and_then_accepted(simulator):
    token = "peer:" + uuid.uuid4().hex
    rule = {"provider": "fcm", "match": {"token": token}, "times": 2, "answer": {"status": 503, "error": "UNAVAILABLE"}}
    simulator.script(rule)
    send(simulator, token)
    assert [push["status"] for push in simulator.pushes(token)] == [503, 503, 200]


@promise
def too_much_payload_is_an_invalid_argument(simulator):
    error = raises(exceptions.InvalidArgumentError, lambda: send(simulator, "peer:big", data={"body": "x" * 4100}))
    assert "too big" in str(error), error


@promise
def a_key_google_does_not_know_gets_no_token(simulator):
    with open(simulator.file("fcm_service_account"), encoding="utf-8") as file:
        account = json.load(file)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    account["private_key"] = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    error = raises(Exception, lambda: send(simulator, "peer:key", to=app(simulator, account)))
    assert "Invalid JWT Signature" in str(error), error
    assert not simulator.pushes("peer:key")


@promise
def a_revoked_token_is_renewed_and_the_message_sent_once(simulator):
    to = app(simulator)
    send(simulator, "peer:before-revocation", to)
    simulator.post("oauth/revoke")
    token = "peer:" + uuid.uuid4().hex
    send(simulator, token, to)
    assert [push["status"] for push in simulator.pushes(token)] == [200]


@promise
def a_token_that_has_run_out_is_renewed(simulator):
    simulator.settings({"oauth": {"expires_in": 1}})
    try:
        to = app(simulator)
        for _ in range(2):
            send(simulator, "peer:short-lived", to)
    finally:
        simulator.settings({"oauth": {"expires_in": 3599}})
    first, second = simulator.pushes("peer:short-lived")
    assert first["status"] == second["status"] == 200
    assert first["headers"]["authorization"] != second["headers"]["authorization"]


@promise
def validate_only_sends_nothing(simulator):
    message = messaging.Message(token="peer:dry", data={"cid": "dry-run"})
    messaging.send(message, dry_run=True, app=app(simulator))
    assert simulator.report("dry-run")["per_provider"]["fcm"]["accepted"] == 0


@promise
async def many_at_once_over_http2_each_get_their_own_answer(simulator):
    devices = [device for device in simulator.devices if device["kind"].startswith("fcm_")][:200]
    messages = [messaging.Message(token=device["token"], data={"cid": "many", "id": "m", "v": "1"}) for device in devices]
    batch = await messaging.send_each_async(messages, app=app(simulator))
    # HTTP/1.1 names the host in a header, HTTP/2 does not.
    assert "host" not in simulator.pushes(devices[0]["token"])[-1]["headers"]
    fcm = simulator.report("many")["per_provider"]["fcm"]
    gone = [answer for answer in batch.responses if isinstance(answer.exception, messaging.UnregisteredError)]
    assert batch.success_count == fcm["accepted"] == fcm["unique_devices"] > 150
    assert len(gone) == batch.failure_count == fcm["errors"].get("UNREGISTERED", 0)
    assert fcm["duplicates"] == 0
