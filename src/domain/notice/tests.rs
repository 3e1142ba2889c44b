use time::macros::datetime;

use super::*;
use crate::domain::seal::{SealingKey, canonical};

fn request() -> EventRequest {
    EventRequest {
        id: Some("pa-1:result".into()),
        kind: Some("result".into()),
        subject: Some("cd-1".into()),
        case: Some("pa-1".into()),
        attachment: Some(AttachmentRequest { name: Some("bien-ban.pdf".into()), url: None }),
        agency: Some("UBND-XA".into()),
        language: None,
    }
}

fn broken(request: EventRequest) -> Vec<String> {
    let violations = FeedbackEvent::parse(request).expect_err("a rule is broken");
    violations.iter().map(|v| format!("{} {}", v.field, v.rule)).collect()
}

fn key() -> (SealingKey, TrustedKeys) {
    let key = SealingKey::from_pkcs8("test", &SealingKey::generate().unwrap()).unwrap();
    let trusted = TrustedKeys::of([("test".to_owned(), key.public())]);
    (key, trusted)
}

#[test]
fn a_result_without_an_attachment_is_invalid() {
    for attachment in [
        None,
        Some(AttachmentRequest::default()),
        Some(AttachmentRequest { url: Some(" ".into()), name: Some(String::new()) }),
    ] {
        assert_eq!(broken(EventRequest { attachment, ..request() }), ["attachment required"]);
    }
    let plain = AttachmentRequest { url: Some("http://example.vn/a.jpg".into()), name: None };
    assert_eq!(
        broken(EventRequest { attachment: Some(plain), ..request() }),
        ["attachment.url not_https"]
    );
    assert!(FeedbackEvent::parse(request()).is_ok());
}

#[test]
fn every_broken_rule_is_named_at_once_and_an_unknown_kind_by_name() {
    assert_eq!(
        broken(EventRequest::default()),
        [
            "id required",
            "kind required",
            "subject required",
            "case required",
            "attachment required",
            "agency required"
        ]
    );
    assert_eq!(
        broken(EventRequest { kind: Some("refused".into()), ..request() }),
        ["kind unknown_kind"]
    );
    assert_eq!(broken(EventRequest { id: Some("a\u{0}b".into()), ..request() }), ["id not_a_word"]);
}

#[test]
fn invariant_9_a_notice_is_the_template_and_an_opaque_id() {
    let expires = datetime!(2026-11-24 12:00 UTC);
    for template in Template::built_in("https://loa.example.vn") {
        assert_eq!(template.broken_bound(), None);
        let language = Language::vietnamese();
        let (one, other) = (NoticeId::new(), NoticeId::new());
        let a = template.message(one, &language, expires).unwrap();
        let b = template.message(other, &language, expires).unwrap();
        assert_eq!((&a.title, &a.body), (&b.title, &b.body), "the same words for everybody");
        assert_eq!(a.url, Some(format!("https://loa.example.vn/notices/{one}")));
        assert_ne!(a.collapse, b.collapse);
        assert!(matches!(a.style, Style::Personal { .. }));
    }
}

#[test]
fn invariant_1_a_template_is_believed_only_under_its_own_seal_and_within_bounds() {
    let (key, trusted) = key();
    let template = Template::built_in("https://loa.example.vn").remove(0);
    let open = |template: &Template, name: &str| {
        let bytes = canonical(template);
        Template::open(&trusted, (name, 1), "test", &bytes, &key.seal(&bytes))
    };
    assert_eq!(open(&template, "feedback_result"), Ok(template.clone()));
    assert_eq!(open(&template, "feedback_refused"), Err(SealError::Elsewhere("template")));

    let bytes = canonical(&template);
    let mut forged = template.clone();
    forged.url_prefix = "https://evil.example/".into();
    let refused = Template::open(
        &trusted,
        ("feedback_result", 1),
        "test",
        &canonical(&forged),
        &key.seal(&bytes),
    );
    assert_eq!(refused, Err(SealError::Forged));

    let mut talkative = template.clone();
    talkative.texts.get_mut(&Language::vietnamese()).unwrap().body = "chữ ".repeat(100);
    let mut eternal = template.clone();
    eternal.ttl_seconds = i64::MAX;
    let mut mute = template;
    mute.texts.remove(&Language::vietnamese());
    for beyond in [talkative, eternal, mute] {
        assert!(matches!(open(&beyond, "feedback_result"), Err(SealError::Unreadable(_))));
    }
}
