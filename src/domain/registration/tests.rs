use super::*;

/// RFC 8291 Appendix A: the user agent's key and secret.
const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

fn rules() -> WebPushRules {
    WebPushRules {
        allowed_hosts: vec!["fcm.googleapis.com".into(), "*.push.apple.com".into()],
        allow_loopback: false,
        vapid_keys: vec!["2026".into()],
    }
}

fn browser() -> RegistrationRequest {
    RegistrationRequest {
        kind: Some("webpush".into()),
        endpoint: Some("https://fcm.googleapis.com/fcm/send/abc".into()),
        p256dh: Some(P256DH.into()),
        auth: Some(AUTH.into()),
        vapid_key_id: Some("2026".into()),
        ..RegistrationRequest::default()
    }
}

fn broken(request: RegistrationRequest) -> Vec<String> {
    let violations = Registration::parse(request, &rules()).expect_err("a rule is broken");
    violations.iter().map(|v| format!("{} {}", v.field, v.rule)).collect()
}

fn phone(kind: &str, token: &str) -> RegistrationRequest {
    RegistrationRequest {
        kind: Some(kind.into()),
        token: Some(token.into()),
        ..RegistrationRequest::default()
    }
}

#[test]
fn every_broken_rule_is_named_at_once() {
    let request = RegistrationRequest {
        kind: Some("webpush".into()),
        endpoint: Some("ftp://fcm.googleapis.com/x".into()),
        p256dh: Some("AAAA".into()),
        token: Some("no business here".into()),
        platform: Some("windows".into()),
        app_version: Some("1.0\n".into()),
        ..RegistrationRequest::default()
    };
    assert_eq!(
        broken(request),
        [
            "platform unknown_word",
            "app_version not_a_word",
            "token not_of_this_kind",
            "endpoint host_not_allowed",
            "p256dh not_base64url",
            "auth required",
            "vapid_key_id required",
        ]
    );
    assert_eq!(broken(RegistrationRequest::default()), ["kind required"]);
}

#[test]
fn a_subscription_is_taken_with_and_without_padding() {
    let bare = Registration::parse(browser(), &rules()).unwrap();
    let padded = RegistrationRequest {
        p256dh: Some(format!("{P256DH}=")),
        auth: Some(format!("{AUTH}==")),
        ..browser()
    };
    assert_eq!(Registration::parse(padded, &rules()).unwrap(), bare);
}

#[test]
fn a_key_beside_the_curve_is_refused() {
    let mut wrong = P256DH.to_owned();
    wrong.replace_range(40..41, "A");
    let request = RegistrationRequest { p256dh: Some(wrong), ..browser() };
    assert_eq!(broken(request), ["p256dh not_on_curve"]);
}

#[test]
fn a_strangers_endpoint_cannot_choose_whom_we_call() {
    for endpoint in [
        "http://fcm.googleapis.com/x",
        "https://fcm.googleapis.com:8443/x",
        "https://user@fcm.googleapis.com/x",
        "https://fcm.googleapis.com.example.com/x",
        "https://push.apple.com/x",
        "https://evilpush.apple.com/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://169.254.169.254/latest",
        "https://localhost/x",
    ] {
        let request = RegistrationRequest { endpoint: Some(endpoint.into()), ..browser() };
        assert_eq!(broken(request), ["endpoint host_not_allowed"], "{endpoint}");
    }
    let request =
        RegistrationRequest { endpoint: Some("https://web.push.apple.com/x".into()), ..browser() };
    assert!(Registration::parse(request, &rules()).is_ok());
}

#[test]
fn this_machine_is_reached_only_when_it_is_allowed() {
    let lenient = WebPushRules { allow_loopback: true, ..rules() };
    for (endpoint, allowed) in [
        ("https://127.0.0.1:9443/x", true),
        ("https://localhost:9/x", true),
        ("http://localhost:9/x", false),
        ("https://10.0.0.1/x", false),
    ] {
        assert_eq!(lenient.allow(&endpoint.parse().unwrap()), allowed, "{endpoint}");
    }
}

#[test]
fn a_subscription_made_with_a_key_we_do_not_have_is_refused() {
    let request = RegistrationRequest { vapid_key_id: Some("2019".into()), ..browser() };
    assert_eq!(broken(request), ["vapid_key_id unknown_key"]);
}

#[test]
fn tokens_that_could_break_out_of_a_request_are_refused() {
    for token in
        ["short", "abcdefgh\"}", "abcdefgh\\u0000", "abcdefgh\0ijk", "abc defghi", "mã-đăng-ký"]
    {
        assert_eq!(broken(phone("fcm_token", token)), ["token not_a_token"], "{token:?}");
    }
    assert_eq!(broken(phone("fcm_fid", "a b")), ["token not_an_installation_id"]);
    assert_eq!(broken(phone("apns", "abc")), ["environment required", "token not_a_token"]);
}

#[test]
fn one_apple_token_has_one_hash_however_it_is_written() {
    let token = |raw: String| {
        let request =
            RegistrationRequest { environment: Some("production".into()), ..phone("apns", &raw) };
        Registration::parse(request, &rules()).unwrap().address.hash()
    };
    assert_eq!(token("AB".repeat(32)), token("ab".repeat(32)));
}

#[test]
fn a_phone_with_an_unknown_locale_still_hears_in_vietnamese() {
    for (locale, language) in [
        (None, "vi"),
        (Some("en-GB"), "en"),
        (Some("tyz"), "tyz"),
        (Some("C.UTF-8"), "vi"),
        (Some(""), "vi"),
    ] {
        let request = RegistrationRequest {
            locale: locale.map(Into::into),
            ..phone("fcm_token", "abcdefgh")
        };
        let parsed = Registration::parse(request, &rules()).unwrap();
        assert_eq!(parsed.language.as_str(), language, "{locale:?}");
    }
}
