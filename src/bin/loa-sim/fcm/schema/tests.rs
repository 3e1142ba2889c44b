use serde_json::json;

use super::*;

fn read(message: &Value) -> Result<(Target, Facts), Value> {
    parse(json!({ "message": message }).to_string().as_bytes()).map_err(|refusal| {
        serde_json::from_slice(refusal.judged().verdict.into_response().body()).unwrap()
    })
}

fn violation(message: &Value) -> String {
    read(message).unwrap_err()["error"]["details"][0]["fieldViolations"][0]["field"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn fcm_error(message: &Value) -> Value {
    read(message).unwrap_err()["error"]["details"][0]["errorCode"].clone()
}

#[test]
fn the_emergency_of_the_contract_is_accepted_and_known_by_its_incident_and_version() {
    let (target, facts) = read(&json!({
        "token": "t", "data": {"v": "1", "kind": "emergency", "id": "CB-2026-0917", "cid": "abc", "exp": "1795298782"},
        "android": {"priority": "HIGH", "ttl": "3600s", "direct_boot_ok": true}
    }))
    .unwrap();
    assert_eq!(target, Target::Token("t".into()));
    assert_eq!(facts.keeping, Keeping::Beside { most: 100 });
    assert_eq!(
        (facts.message.cid.as_deref(), facts.message.id.as_deref(), facts.message.v.as_deref()),
        (Some("abc"), Some("CB-2026-0917"), Some("1"))
    );
}

#[test]
fn both_spellings_of_a_field_are_the_same_field() {
    for name in ["direct_boot_ok", "directBootOk"] {
        assert!(read(&json!({"token": "t", "android": {name: true}})).is_ok());
        assert_eq!(
            violation(&json!({"token": "t", "android": {name: "yes"}})),
            "message.android.direct_boot_ok"
        );
    }
}

#[test]
fn an_unknown_field_is_named_with_its_place() {
    let error = read(&json!({"token": "t", "android": {"colour": "red"}})).unwrap_err();
    assert_eq!(
        error["error"]["message"],
        "Invalid JSON payload received. Unknown name \"colour\" at 'message.android': Cannot find field."
    );
    assert_eq!(violation(&json!({"token": "t", "android": {"colour": "red"}})), "message.android");
}

#[test]
fn data_is_text_to_text_only() {
    assert_eq!(
        violation(&json!({"token": "t", "data": {"a": "b", "b": 12}})),
        "message.data[1].value"
    );
    assert_eq!(violation(&json!({"token": "t", "data": {"from": "b"}})), "message.data[0].key");
}

#[test]
fn exactly_one_target() {
    assert_eq!(violation(&json!({"data": {}})), "message");
    assert_eq!(violation(&json!({"token": "t", "topic": "alerts"})), "message");
    assert_eq!(violation(&json!({"topic": "/topics/alerts"})), "message.topic");
    assert!(read(&json!({"fid": "f"})).is_ok());
}

#[test]
fn a_duration_ends_in_s_and_lasts_four_weeks_at_most() {
    for good in ["0s", "3.5s", "2419200s"] {
        assert!(read(&json!({"token": "t", "android": {"ttl": good}})).is_ok(), "{good}");
    }
    for malformed in ["3600", "1h", "s", "1.0000000001s"] {
        assert_eq!(
            violation(&json!({"token": "t", "android": {"ttl": malformed}})),
            "message.android.ttl",
            "{malformed}"
        );
    }
    for impossible in ["-1s", "2419201s"] {
        assert_eq!(
            fcm_error(&json!({"token": "t", "android": {"ttl": impossible}})),
            "INVALID_ARGUMENT"
        );
    }
}

#[test]
fn keys_and_values_together_have_4096_bytes_and_topics_2048() {
    let filled =
        |target: &str, bytes: usize| json!({target: "t", "data": {"body": "x".repeat(bytes - 4)}});
    assert!(read(&filled("token", 4_096)).is_ok());
    assert_eq!(fcm_error(&filled("token", 4_097)), "INVALID_ARGUMENT");
    assert!(read(&filled("topic", 2_048)).is_ok());
    assert_eq!(fcm_error(&filled("topic", 2_049)), "INVALID_ARGUMENT");
}

#[test]
fn android_and_its_successor_exclude_each_other() {
    assert_eq!(
        violation(&json!({"token": "t", "android": {}, "androidV2": {}})),
        "message.android_v2"
    );
}

#[test]
fn a_notification_message_is_collapsible_whatever_its_key() {
    let (_, facts) = read(
        &json!({"token": "t", "notification": {"title": "a"}, "android": {"collapse_key": "k"}}),
    )
    .unwrap();
    assert_eq!(facts.keeping, Keeping::Instead { key: "<package>".into(), most: 4 });
}
