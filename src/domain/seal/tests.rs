use std::sync::Arc;

use super::passkey::tests::{Authenticator, console};
use super::trust::{Approver, ApproverError, Trust};
use super::*;
use crate::domain::alert::AlertRequest;
use crate::domain::device::Provider;
use crate::domain::id::OfficerId;
use crate::domain::message::Style;
use time::macros::datetime;

fn content() -> AlertContent {
    let request: AlertRequest = serde_json::from_value(serde_json::json!({
        "kind": "warning", "category": "natural_disaster", "severity": "extreme", "urgency": "immediate",
        "certainty": "likely",
        "texts": {"vi": {"headline": "Cảnh báo lũ quét", "body": "Mưa rất to.", "instruction": "Lên cao."}},
        "expires": "2026-11-21T20:00:00+07:00",
        "source": {"number": "01/CĐ", "date": "2026-11-21", "summary": "Công điện"},
        "attestations": {"whole_province": true, "no_state_secret": true},
        "recall": {"texts": {"vi": {"headline": "Báo nhầm", "body": "Không có lũ."}}}
    }))
    .unwrap();
    AlertContent::parse(&request, datetime!(2026-11-21 07:00 UTC)).unwrap()
}

fn identity() -> Identity {
    Identity {
        id: AlertId::new(),
        incident: IncidentId::new(),
        version: 1,
        revision: 1,
        agency: SealedAgency { code: "BCH".into(), name: "Ban Chỉ huy".into() },
        public_url: "https://loa.example.vn/".into(),
        replaces: None,
    }
}

fn document() -> SealedDocument {
    SealedDocument { sha256: "00".repeat(32), media_type: "application/pdf".into(), size: 9 }
}

fn key() -> SealingKey {
    SealingKey::from_pkcs8("k1", &SealingKey::generate().unwrap()).unwrap()
}

fn trust_of(key: &SealingKey) -> TrustedKeys {
    TrustedKeys::of([(key.id().to_owned(), key.public())])
}

#[test]
fn what_was_sealed_is_what_is_read() {
    let (identity, key) = (identity(), key());
    let bytes = sealable(&identity, &content(), &document(), PreparedIds::draw()).alert;
    let sealed = trust_of(&key).open_alert(identity.id, "k1", &bytes, &key.seal(&bytes)).unwrap();
    assert_eq!(sealed.url, format!("https://loa.example.vn/public/alerts/{}", identity.id));
    assert_eq!(canonical(&sealed), bytes, "reading and writing again gives the same bytes");
}

#[test]
fn invariant_1_one_changed_byte_is_forged() {
    let (identity, key) = (identity(), key());
    let bytes = sealable(&identity, &content(), &document(), PreparedIds::draw()).alert;
    let signature = key.seal(&bytes);
    for at in [0, bytes.len() / 2, bytes.len() - 1] {
        let mut forged = bytes.clone();
        forged[at] ^= 1;
        let opened = trust_of(&key).open_alert(identity.id, "k1", &forged, &signature);
        assert_eq!(opened.unwrap_err(), SealError::Forged);
    }
}

#[test]
fn invariant_1_a_true_seal_does_not_pass_for_another_alert() {
    let key = key();
    let bytes = sealable(&identity(), &content(), &document(), PreparedIds::draw()).alert;
    let opened = trust_of(&key).open_alert(AlertId::new(), "k1", &bytes, &key.seal(&bytes));
    assert_eq!(opened.unwrap_err(), SealError::Elsewhere("alert"));
}

#[test]
fn removing_a_key_is_revoking_it() {
    let (identity, key) = (identity(), key());
    let bytes = sealable(&identity, &content(), &document(), PreparedIds::draw()).alert;
    let opened = TrustedKeys::default().open_alert(identity.id, "k1", &bytes, &key.seal(&bytes));
    assert_eq!(opened.unwrap_err(), SealError::UntrustedKey("k1".into()));
}

#[test]
fn the_recall_is_bound_by_the_alerts_own_digest() {
    let (identity, ids) = (identity(), PreparedIds::draw());
    let recall_id = ids.recall;
    let sealable = sealable(&identity, &content(), &document(), ids);
    let alert: SealedAlert = serde_json::from_slice(&sealable.alert).unwrap();
    let (id, bytes) = sealable.recall.unwrap();
    assert_eq!((id, alert.recall_digest), (recall_id, Some(digest(&bytes))));
    let recall: SealedAlert = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((recall.incident, recall.version), (identity.incident, 2));
    assert_eq!(recall.lane, alert.lane);
    assert_eq!(recall.references, [Reference { id: identity.id, version: 1 }]);
}

#[test]
fn a_phone_in_another_language_is_told_in_vietnamese_rather_than_nothing() {
    let bytes = sealable(&identity(), &content(), &document(), PreparedIds::draw()).alert;
    let sealed: SealedAlert = serde_json::from_slice(&bytes).unwrap();
    let english = Language::of_locale("en-US").unwrap();
    let message = sealed.message(Provider::Fcm, &english, &[]).unwrap();
    assert_eq!(message.title, "Cảnh báo lũ quét");
    assert_eq!((message.kind, message.style), ("emergency", Style::Emergency));
}

/// Two approvers, one of them with two passkeys; emergencies take `emergency` people.
struct Approving {
    authenticators: Vec<Authenticator>,
    trust: Trust,
}

impl Approving {
    fn new() -> Self {
        let now = datetime!(2026-11-21 00:00 UTC);
        let mut trust = Trust::empty(console(), now);
        let mut authenticators = Vec::new();
        for (credential, person) in [("a", "CB-1"), ("a2", "CB-1"), ("b", "CB-2")] {
            let authenticator = Authenticator::new();
            trust = trust
                .certify(Approver {
                    credential: credential.into(),
                    officer: OfficerId::new(),
                    person: person.into(),
                    passkey: authenticator.passkey(),
                    since: now,
                    revoked: None,
                })
                .unwrap();
            authenticators.push(authenticator);
        }
        Self { authenticators, trust }
    }

    fn keys(&self, emergency: usize) -> TrustedKeys {
        let trust = Arc::new(self.trust.clone());
        let quorum = Quorum::of_an_emergency(emergency);
        trust_of(&key()).with_approvers(Approvers { trust, alone: true }).with_quorum(quorum)
    }

    fn seal(&self, bytes: &[u8], which: &[usize], original: Option<&[u8]>) -> Vec<u8> {
        let seals = which.iter().map(|at| OneSeal {
            credential: self.trust.approvers[*at].credential.clone(),
            assertion: self.authenticators[*at].approve(original.unwrap_or(bytes)),
        });
        let original = original.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        serde_json::to_vec(&ApproversSeal { seals: seals.collect(), original, template: None })
            .unwrap()
    }
}

#[test]
fn approvers_seal_with_their_own_keys_and_people_are_counted() {
    let (identity, approving) = (identity(), Approving::new());
    let bytes = sealable(&identity, &content(), &document(), PreparedIds::draw()).alert;
    let open = |emergency: usize, which: &[usize]| {
        let seal = approving.seal(&bytes, which, None);
        approving.keys(emergency).open_alert(identity.id, APPROVERS, &bytes, &seal).map(drop)
    };
    assert_eq!(open(1, &[0]), Ok(()));
    assert_eq!(open(2, &[0, 2]), Ok(()));
    for which in [&[0][..], &[0, 0], &[0, 1]] {
        assert_eq!(open(2, which), Err(SealError::TooFew { have: 1, need: 2 }), "{which:?}");
    }
    assert_eq!(open(1, &[]), Err(SealError::TooFew { have: 0, need: 1 }));
    assert_eq!(open(0, &[]), Err(SealError::TooFew { have: 0, need: 1 }), "one is the least");
}

#[test]
fn invariant_1_an_approvers_seal_holds_for_its_own_bytes_only() {
    let (identity, approving) = (identity(), Approving::new());
    let bytes = sealable(&identity, &content(), &document(), PreparedIds::draw()).alert;
    let other = sealable(&self::identity(), &content(), &document(), PreparedIds::draw()).alert;
    let keys = approving.keys(1);
    let seal = approving.seal(&other, &[0], None);
    let opened = keys.open_alert(identity.id, APPROVERS, &bytes, &seal);
    assert!(matches!(opened, Err(SealError::Approver(ApproverError::Assertion { .. }))));
    let opened = keys.open_alert(identity.id, APPROVERS, &bytes, b"{}");
    assert!(matches!(opened, Err(SealError::Unreadable(_))));

    // Another revision, passed off as prepared together with an alert that was sealed.
    let seal = approving.seal(&bytes, &[0], Some(&other));
    let opened = keys.open_alert(identity.id, APPROVERS, &bytes, &seal);
    assert_eq!(opened.map(drop), Err(SealError::Forged));

    let revoked = approving.trust.clone().revoke("a", datetime!(2026-11-21 09:00 UTC)).unwrap();
    let trust = Arc::new(revoked);
    let keys = TrustedKeys::default().with_approvers(Approvers { trust, alone: true });
    let seal = approving.seal(&bytes, &[0, 2], None);
    let opened = keys.open_alert(identity.id, APPROVERS, &bytes, &seal);
    let error = SealError::Approver(ApproverError::Revoked("a".into()));
    assert_eq!(opened.map(drop), Err(error), "one bad seal spoils it");
    assert_eq!(keys.ids(), ["passkey:a2", "passkey:b"]);
}

#[test]
fn a_recall_holds_by_the_seal_of_its_original() {
    let (identity, ids, approving) = (identity(), PreparedIds::draw(), Approving::new());
    let recall_id = ids.recall;
    let sealable = sealable(&identity, &content(), &document(), ids);
    let (_, recall) = sealable.recall.unwrap();
    let keys = approving.keys(2);
    let seal = approving.seal(&recall, &[0, 2], Some(&sealable.alert));
    let opened = keys.open_alert(recall_id, APPROVERS, &recall, &seal).unwrap();
    assert_eq!(opened.purpose, Purpose::Recall);
    let seal = approving.seal(&recall, &[0], Some(&sealable.alert));
    let opened = keys.open_alert(recall_id, APPROVERS, &recall, &seal);
    assert_eq!(opened.map(drop), Err(SealError::TooFew { have: 1, need: 2 }));
}

#[test]
fn where_approvers_seal_alone_a_servers_key_seals_no_alert() {
    let (identity, key, approving) = (identity(), key(), Approving::new());
    let bytes = sealable(&identity, &content(), &document(), PreparedIds::draw()).alert;
    let trust = Arc::new(approving.trust.clone());
    let with = |alone| {
        let approvers = Approvers { trust: Arc::clone(&trust), alone };
        let keys = trust_of(&key).with_approvers(approvers);
        keys.open_alert(identity.id, "k1", &bytes, &key.seal(&bytes)).map(drop)
    };
    assert_eq!(with(true), Err(SealError::UntrustedKey("k1".into())));
    assert_eq!(with(false), Ok(()), "the weaker mode");
    let opened = trust_of(&key).open_alert(identity.id, APPROVERS, &bytes, b"{}");
    assert_eq!(opened.map(drop), Err(SealError::UntrustedKey(APPROVERS.into())));
}

/// The flood as it would be told if its end could be foreseen.
fn foreseen() -> AlertContent {
    let all_clear = Text {
        headline: "Cảnh báo lũ quét".into(),
        body: "Nguy hiểm đã qua.".into(),
        instruction: None,
    };
    let texts = BTreeMap::from([(Language::vietnamese(), all_clear)]);
    AlertContent { all_clear: Some(texts), ..content() }
}

fn read(bytes: &[u8]) -> SealedAlert {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn without_an_all_clear_the_bytes_are_those_of_releases_before_it() {
    let sealable = sealable(&identity(), &content(), &document(), PreparedIds::draw());
    for bytes in [&sealable.alert, &sealable.recall.unwrap().1] {
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(!text.contains("all_clear"), "{text}");
    }
}

#[test]
fn a_time_is_sealed_with_the_alert_and_with_nothing_that_is_prepared_and_left_out_where_there_is_none()
 {
    let send_at = content().expires - time::Duration::hours(1);
    let timed = AlertContent { send_at: Some(send_at), severity: Severity::Minor, ..foreseen() };
    let sealable = sealable(&identity(), &timed, &document(), PreparedIds::draw());
    let alert = read(&sealable.alert);
    assert_eq!((alert.send_at, alert.not_before()), (Some(send_at), Some(send_at)));
    for (_, prepared) in [sealable.recall.unwrap(), sealable.all_clear.unwrap()] {
        assert_eq!(read(&prepared).send_at, None, "it goes at once");
    }
    let plain = self::sealable(&identity(), &content(), &document(), PreparedIds::draw());
    assert!(!String::from_utf8(plain.alert).unwrap().contains("send_at"));
}

#[test]
fn the_all_clear_is_bound_by_the_alerts_own_digest_and_the_recall_comes_above_it() {
    let (identity, ids) = (identity(), PreparedIds::draw());
    let sealable = sealable(&identity, &foreseen(), &document(), ids);
    let (id, bytes) = sealable.all_clear.unwrap();
    let (alert, all_clear) = (read(&sealable.alert), read(&bytes));
    assert_eq!((id, alert.all_clear_digest), (ids.all_clear, Some(digest(&bytes))));
    assert_eq!((all_clear.purpose, all_clear.version), (Purpose::AllClear, 2));
    assert_eq!((all_clear.incident, all_clear.lane), (identity.incident, Lane::Emergency));
    assert_eq!(all_clear.references, [Reference { id: identity.id, version: 1 }]);
    assert_eq!(all_clear.all_clear_digest, None);
    assert_eq!(read(&sealable.recall.unwrap().1).version, 3);
}

#[test]
fn an_all_clear_goes_as_soon_as_the_alarm_went_and_does_not_sound_like_it() {
    let sealable = sealable(&identity(), &foreseen(), &document(), PreparedIds::draw());
    let told = |bytes: &[u8]| {
        let message = read(bytes).message(Provider::Fcm, &Language::vietnamese(), &[]).unwrap();
        (message.kind, message.style, message.title, message.replaces.len())
    };
    let (kind, style, title, replaces) = told(&sealable.all_clear.unwrap().1);
    assert_eq!((kind, style, replaces), ("all_clear", Style::Calm, 1));
    assert_eq!(title, "BÁO YÊN: Cảnh báo lũ quét");
    let (kind, style, _, replaces) = told(&sealable.recall.unwrap().1);
    assert_eq!((kind, style, replaces), ("recall", Style::Emergency, 1), "as loud as its original");
}

/// An alert that takes the place of one in `lane`.
fn follow_up(how: FollowUp, lane: Lane, content: &AlertContent) -> SealedAlert {
    let earlier = [2, 1].map(|version| Reference { id: AlertId::new(), version });
    let replaces = Replaces { how, status: Status::Actual, lane, references: earlier.to_vec() };
    let identity = Identity { version: 3, replaces: Some(replaces), ..identity() };
    let sealable = sealable(&identity, content, &document(), PreparedIds::draw());
    let recall = read(&sealable.recall.unwrap().1);
    let sealed = read(&sealable.alert);
    assert_eq!(sealed.references, earlier);
    let whole: Vec<u32> = recall.references.iter().map(|earlier| earlier.version).collect();
    assert_eq!((recall.version, whole), (4, vec![3, 2, 1]), "it calls back all of it");
    sealed
}

#[test]
fn a_follow_up_takes_the_faster_lane_and_rings_as_loud_as_what_it_says() {
    use FollowUp::{AllClear, Correction};
    let grave = content();
    let light = AlertContent { severity: Severity::Minor, ..content() };
    let sealed = |how, lane, content: &AlertContent| {
        let sealed = follow_up(how, lane, content);
        let message = sealed.message(Provider::Fcm, &Language::vietnamese(), &[]).unwrap();
        (sealed.lane, message.kind, message.style)
    };
    let alarm = (Lane::Emergency, "emergency", Style::Emergency);
    assert_eq!(sealed(Correction, Lane::Emergency, &grave), alarm);
    assert_eq!(sealed(Correction, Lane::Bulk, &grave), alarm, "it has become one");
    let less = (Lane::Emergency, "warning", Style::Calm);
    assert_eq!(sealed(Correction, Lane::Emergency, &light), less);
    let ordinary = (Lane::Bulk, "warning", Style::Warning { time_sensitive: false });
    assert_eq!(sealed(Correction, Lane::Bulk, &light), ordinary);
    let over = (Lane::Emergency, "all_clear", Style::Calm);
    assert_eq!(sealed(AllClear, Lane::Emergency, &grave), over);
    let over = (Lane::Bulk, "all_clear", Style::Warning { time_sensitive: false });
    assert_eq!(sealed(AllClear, Lane::Bulk, &grave), over);
}

#[test]
fn an_all_clear_holds_by_the_seal_of_its_original_and_nothing_else_does() {
    let (identity, ids, approving) = (identity(), PreparedIds::draw(), Approving::new());
    let sealable = sealable(&identity, &foreseen(), &document(), ids);
    let (_, all_clear) = sealable.all_clear.unwrap();
    let keys = approving.keys(1);
    let seal = approving.seal(&all_clear, &[0], Some(&sealable.alert));
    let opened = keys.open_alert(ids.all_clear, APPROVERS, &all_clear, &seal).unwrap();
    assert_eq!(opened.purpose, Purpose::AllClear);

    // A second alarm, named as the all-clear of a first one by whoever owned the server before the approver looked.
    let alarm = self::sealable(&self::identity(), &content(), &document(), PreparedIds::draw());
    let mut first = read(&sealable.alert);
    first.all_clear_digest = Some(digest(&alarm.alert));
    let first = canonical(&first);
    let seal = approving.seal(&alarm.alert, &[0], Some(&first));
    let opened = keys.open_alert(read(&alarm.alert).id, APPROVERS, &alarm.alert, &seal);
    assert_eq!(opened.map(drop), Err(SealError::Forged));
    // And an all-clear of another incident, likewise.
    let other = self::sealable(&self::identity(), &foreseen(), &document(), PreparedIds::draw());
    let (other_id, other) = other.all_clear.unwrap();
    let mut first = read(&sealable.alert);
    first.all_clear_digest = Some(digest(&other));
    let first = canonical(&first);
    let seal = approving.seal(&other, &[0], Some(&first));
    let opened = keys.open_alert(other_id, APPROVERS, &other, &seal);
    assert_eq!(opened.map(drop), Err(SealError::Forged));
}

/// The same warning as a drill.
fn drill() -> AlertContent {
    AlertContent { status: Status::Exercise, ..content() }
}

#[test]
fn what_is_sealed_with_or_after_a_drill_is_a_drill() {
    let sealable = sealable(&identity(), &drill(), &document(), PreparedIds::draw());
    let (alert, recall) = (read(&sealable.alert), read(&sealable.recall.unwrap().1));
    for sealed in [&alert, &recall] {
        assert_eq!(
            (sealed.status, sealed.lane, sealed.audience),
            (Status::Exercise, Lane::Drill, Audience::DrillGroup)
        );
        assert_eq!(sealed.half_a_drill(), None);
    }
    let told = alert.message(Provider::Apns, &Language::vietnamese(), &[]).unwrap();
    assert_eq!(
        (told.kind, told.style),
        ("drill", Style::Emergency),
        "it rings as what it exercises"
    );
    let replaces = Replaces {
        how: FollowUp::Correction,
        status: Status::Exercise,
        lane: Lane::Drill,
        references: vec![Reference { id: AlertId::new(), version: 1 }],
    };
    let identity = Identity { version: 2, replaces: Some(replaces), ..identity() };
    let sealable = super::sealable(&identity, &content(), &document(), PreparedIds::draw());
    assert_eq!(read(&sealable.alert).lane, Lane::Drill, "whatever its own words ask for");
}

#[test]
fn what_is_meant_is_sealed_to_the_bytes_of_releases_before_drills() {
    let sealable = sealable(&identity(), &content(), &document(), PreparedIds::draw());
    let bytes = String::from_utf8(sealable.alert).unwrap();
    assert!(!bytes.contains("\"status\""), "{bytes}");
}

#[test]
fn half_a_drill_is_believed_of_no_key() {
    let key = key();
    let sealable = sealable(&identity(), &drill(), &document(), PreparedIds::draw());
    let whole = read(&sealable.alert);
    let opened = |sealed: &SealedAlert| {
        let bytes = canonical(sealed);
        trust_of(&key).open_alert(sealed.id, "k1", &bytes, &key.seal(&bytes))
    };
    assert!(opened(&whole).is_ok());
    let mut unmarked = whole.clone();
    for screens in unmarked.screens.values_mut() {
        screens.webpush.title = "Cảnh báo lũ quét".into();
    }
    for half in [
        SealedAlert { audience: Audience::EveryDevice, ..whole.clone() },
        SealedAlert { lane: Lane::Emergency, ..whole.clone() },
        SealedAlert { status: Status::Actual, ..whole.clone() },
        unmarked,
    ] {
        assert!(matches!(opened(&half), Err(SealError::Unreadable(_))), "{half:?}");
    }
}

/// What is made of templates.
mod templates;
