use time::macros::datetime;

use super::*;
use crate::domain::seal::{SealingKey, canonical};

fn key() -> (SealingKey, TrustedKeys) {
    let key = SealingKey::from_pkcs8("test", &SealingKey::generate().unwrap()).unwrap();
    let trusted = TrustedKeys::of([("test".to_owned(), key.public())]);
    (key, trusted)
}

#[test]
fn whoever_is_told_is_told_in_words_of_their_own_kind() {
    let built_in = Template::built_in("https://loa.example.vn");
    for kind in EventKind::ALL {
        let words = Words::of(kind);
        assert_eq!(words.is_some(), kind.tells_the_person(), "{kind:?}");
        let Some(words) = words else { continue };
        let own = built_in
            .iter()
            .filter(|it| (it.name.as_str(), it.version) == (words.name, words.version));
        assert_eq!(own.count(), 1, "{kind:?}");
    }
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
    let all = Template::built_in("https://loa.example.vn");
    let template = all.into_iter().find(|template| template.name == "feedback_result").unwrap();
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
