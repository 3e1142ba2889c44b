use time::macros::datetime;

use super::*;
use crate::domain::registration::WebPushRules;
use crate::domain::seal::{SealingKey, canonical};
use crate::domain::wording::Tongue;

fn key(id: &str) -> SealingKey {
    SealingKey::from_pkcs8(id, &SealingKey::generate().unwrap()).unwrap()
}

fn trusting(key: &SealingKey) -> TrustedKeys {
    TrustedKeys::of([(key.id().to_owned(), key.public())])
}

fn opened(template: &Template) -> Result<Template, SealError> {
    let key = key("2026");
    let bytes = canonical(template);
    Template::open(&trusting(&key), key.id(), &bytes, &key.seal(&bytes))
}

#[test]
fn invariant_1_a_probe_is_sealed_and_within_its_bounds_or_it_is_none() {
    let own = Template::built_in();
    assert_eq!(opened(&own).as_ref(), Ok(&own));

    let (key, stranger) = (key("2026"), key("2026"));
    let bytes = canonical(&own);
    let forged = Template::open(&trusting(&key), key.id(), &bytes, &stranger.seal(&bytes));
    assert_eq!(forged, Err(SealError::Forged));

    let vi = Language::vietnamese();
    let broken: [fn(&mut Template, &Language); 7] = [
        |template, vi| {
            template.texts.remove(vi);
        },
        |template, _| template.ttl_seconds = 86_400,
        |template, _| template.version = 2,
        |template, _| template.schema = 2,
        |template, vi| template.texts.get_mut(vi).unwrap().body = "Sơ tán ngay! ".repeat(40),
        |template, vi| template.texts.get_mut(vi).unwrap().body = "{time} {where}".into(),
        |template, vi| template.texts.get_mut(vi).unwrap().title = "{time}".into(),
    ];
    for (at, change) in broken.into_iter().enumerate() {
        let mut template = own.clone();
        change(&mut template, &vi);
        assert!(opened(&template).is_err(), "{at}: {template:?}");
    }
}

#[test]
fn invariant_1_a_notices_template_is_no_probe() {
    let key = key("2026");
    for notice in crate::domain::notice::Template::built_in("https://loa.example.vn") {
        let bytes = canonical(&notice);
        Template::open(&trusting(&key), key.id(), &bytes, &key.seal(&bytes)).unwrap_err();
    }
}

#[test]
fn only_the_time_is_filled_in_and_each_takes_the_place_of_the_one_before() {
    let template = Template::built_in();
    let at = datetime!(2026-11-23 07:03 UTC);
    let tyz = Language::try_from("tyz".to_owned()).unwrap();
    let message = |at| template.message(Uuid::now_v7(), &tyz, at).unwrap();
    let first = message(at);
    assert!(first.body.contains("gửi lúc 14:03."), "{}", first.body);
    assert_eq!((first.kind, first.style), ("canary", Style::Announcement));
    assert_eq!(first.expires, at + Duration::minutes(5));
    let second = message(at + Duration::minutes(5));
    assert_eq!(first.collapse, second.collapse);
    assert_ne!(first.id, second.id);
}

#[test]
fn what_is_announced_says_which_providers_are_watched_and_no_address() {
    let list = r#"{"kind":"fcm_token","token":"token-one","locale":"vi"}"#;
    let group = Group::parse(list.as_bytes(), &WebPushRules::default()).unwrap();
    let said = vec!["2026".to_owned(), announced(&group)];
    assert!(!said[1].contains("token"));
    let watched = Provider::ALL.map(|provider| probes(&said, provider));
    assert_eq!(watched, [true, false, false]);
    assert!(!probes(&["drill:1.1.1:x".into(), "canary:x.y".into()], Provider::Fcm));
}

fn sight(age: Duration, heard: Option<(Heard, i32)>, dead_lines: Vec<i32>) -> Sight {
    let probe = Probe {
        begun_at: datetime!(2026-11-23 07:03 UTC),
        age,
        every: Duration::minutes(5),
        devices: 2,
        accepted: 1,
        dead_lines,
        heard,
        detail: Some("its own words".into()),
    };
    Sight { provider: Provider::Fcm, is_watched: true, last: Some(probe) }
}

#[test]
fn what_is_known_is_said_in_words() {
    let age = Duration::minutes(2);
    let well = sight(age, Some((Heard::Accepted, 85)), vec![]);
    assert_eq!(well.standing(), Standing::Open);
    assert_eq!(
        well.in_words(Tongue::Vi),
        "Thử lần cuối: FCM nhận lúc 14:03 (2 phút trước), 85 ms."
    );
    let lame = sight(age, Some((Heard::Accepted, 85)), vec![3]);
    assert!(lame.in_words(Tongue::Vi).ends_with("dòng 3 của tệp nhóm thử không còn dùng được."));
    let refused = sight(age, Some((Heard::Parked, 9)), vec![]);
    assert_eq!(refused.standing(), Standing::Failed);
    assert_eq!(
        refused.in_detail(Tongue::En),
        "Last probe: FCM did NOT take it at 14:03 (2 minutes ago): it is parked. (its own words)"
    );
    assert_eq!(sight(age, None, vec![]).standing(), Standing::Failed, "its dispatcher died");
    let old = sight(Duration::minutes(16), Some((Heard::Accepted, 85)), vec![]);
    assert_eq!(old.standing(), Standing::Stale);
    assert!(old.in_words(Tongue::Vi).contains("không rõ"));
    let unwatched = Sight { is_watched: false, ..well.clone() };
    assert_eq!(unwatched.standing(), Standing::Unwatched);
    assert_eq!(unwatched.in_words(Tongue::Vi), "FCM: chưa có nhóm thử.");
    let first = Sight { last: None, ..well };
    assert_eq!(first.standing(), Standing::Awaited);
}
