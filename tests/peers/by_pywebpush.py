"""pywebpush: the reference sender of the Web Push community, over HTTP/1.1. Encrypts with http_ece, signs with py_vapid."""

import json
import secrets
import time

from py_vapid import Vapid02
from pywebpush import WebPushException, webpush

from stage import promise, raises

TEXT = json.dumps({"cid": "flood-web", "id": "CB-1", "v": "1", "title": "Cảnh báo lũ quét"}, ensure_ascii=False)


def push(simulator, subscription, data=TEXT, key=None, claims=None, ttl=300, **headers):
    claims = {"sub": "mailto:canhbao@example.vn"} | (claims or {})
    key = key or simulator.file("vapid")
    return webpush(subscription, data, vapid_private_key=key, vapid_claims=claims, ttl=ttl, headers=headers, timeout=10)


def refused(simulator, subscription, **parts):
    return raises(WebPushException, lambda: push(simulator, subscription, **parts)).response


def fresh(simulator, word="peer"):
    return simulator.subscription(f"{word}-{secrets.token_hex(8)}", simulator.site["vapid_public_key"])


@promise
def a_message_is_accepted_and_the_browser_can_read_it(simulator):
    subscription = fresh(simulator)
    answer = push(simulator, subscription, Topic="flood-web", Urgency="high")
    assert answer.status_code == 201
    assert answer.headers["location"].startswith(simulator.site["webpush_url"])
    [seen] = simulator.pushes(subscription["endpoint"])
    assert seen["decrypted"] and seen["payload"] == json.loads(TEXT)
    assert simulator.report("flood-web")["per_provider"]["webpush"]["unique_devices"] == 1


@promise
def registrations_of_the_demo_can_be_pushed_to(simulator):
    for device in [device for device in simulator.devices if device["kind"] == "webpush"][:20]:
        keys = {"p256dh": device["p256dh"], "auth": device["auth"]}
        try:
            push(simulator, {"endpoint": device["endpoint"], "keys": keys})
            assert simulator.pushes(device["endpoint"])[-1]["decrypted"]
        except WebPushException as error:
            assert error.response.status_code == 410


@promise
def a_dead_subscription_is_410(simulator):
    assert refused(simulator, fresh(simulator, "sim-410")).status_code == 410


@promise
def another_vapid_key_than_the_subscriptions_is_403(simulator):
    other = Vapid02()
    other.generate_keys()
    answer = refused(simulator, fresh(simulator), key=other)
    assert answer.status_code == 403 and "do not correspond" in answer.text


@promise
def a_token_that_lasts_longer_than_a_day_or_is_for_another_origin_is_403(simulator):
    answer = refused(simulator, fresh(simulator), claims={"exp": int(time.time()) + 90_000})
    assert answer.status_code == 403 and "24 hours" in answer.text
    answer = refused(simulator, fresh(simulator), claims={"aud": "https://push.example.net"})
    assert answer.status_code == 403 and "aud" in answer.text


@promise
def a_token_that_has_run_out_is_403(simulator):
    # pywebpush renews an exp that has passed, so the key itself must sign it.
    class Late(Vapid02):
        def sign(self, claims, crypto_key=None):
            return super().sign(claims | {"exp": int(time.time()) - 5}, crypto_key)

    answer = refused(simulator, fresh(simulator), key=Late.from_file(simulator.file("vapid")))
    assert answer.status_code == 403 and "expired" in answer.text


@promise
def more_than_4096_bytes_are_413_and_exactly_4096_are_not(simulator):
    # Header 86, tag 16, delimiter 1.
    assert push(simulator, fresh(simulator), data="x" * (4096 - 103)).status_code == 201
    assert refused(simulator, fresh(simulator), data="x" * (4096 - 102)).status_code == 413


@promise
def a_message_for_another_browser_is_accepted_but_never_readable(simulator):
    mine, other = fresh(simulator), fresh(simulator)
    mine["keys"]["auth"] = other["keys"]["auth"]
    assert push(simulator, mine, Topic="misaddressed").status_code == 201
    assert not simulator.pushes(mine["endpoint"])[0]["decrypted"]
    report = simulator.report("misaddressed")["per_provider"]["webpush"]
    assert report["unique_devices"] == 0 and report["errors"] == {"UNREADABLE": 1}


@promise
def a_topic_replaces_what_was_not_delivered_yet(simulator):
    subscription = fresh(simulator)
    address = {"provider": "webpush", "token": subscription["endpoint"]}
    simulator.post("devices", address | {"online": False})
    for version in ("1", "2"):
        push(simulator, subscription, data=json.dumps({"v": version}), Topic="incident")
    push(simulator, subscription, data=json.dumps({"v": "now-or-never"}), ttl=0)
    kept = simulator.post("devices", address | {"online": True})
    assert [message["payload"]["v"] for message in kept] == ["2"]


@promise
def a_bad_topic_or_urgency_is_400(simulator):
    assert refused(simulator, fresh(simulator), Topic="x" * 33).status_code == 400
    assert refused(simulator, fresh(simulator), Urgency="extreme").status_code == 400
