use super::*;
use crate::domain::alert::AlertRequest;
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
    }
}

fn document() -> SealedDocument {
    SealedDocument { sha256: "00".repeat(32), media_type: "application/pdf".into(), size: 9 }
}

fn key() -> SealingKey {
    SealingKey::from_pkcs8("k1", &SealingKey::generate().unwrap()).unwrap()
}

fn trust(key: &SealingKey) -> TrustedKeys {
    TrustedKeys::of([(key.id().to_owned(), key.public())])
}

#[test]
fn what_was_sealed_is_what_is_read() {
    let (identity, key) = (identity(), key());
    let bytes = sealable(&identity, &content(), &document(), AlertId::new()).alert;
    let sealed = trust(&key).open_alert(identity.id, "k1", &bytes, &key.seal(&bytes)).unwrap();
    assert_eq!(sealed.url, format!("https://loa.example.vn/public/alerts/{}", identity.id));
    assert_eq!(canonical(&sealed), bytes, "reading and writing again gives the same bytes");
}

#[test]
fn invariant_1_one_changed_byte_is_forged() {
    let (identity, key) = (identity(), key());
    let bytes = sealable(&identity, &content(), &document(), AlertId::new()).alert;
    let signature = key.seal(&bytes);
    for at in [0, bytes.len() / 2, bytes.len() - 1] {
        let mut forged = bytes.clone();
        forged[at] ^= 1;
        let opened = trust(&key).open_alert(identity.id, "k1", &forged, &signature);
        assert_eq!(opened.unwrap_err(), SealError::Forged);
    }
}

#[test]
fn invariant_1_a_true_seal_does_not_pass_for_another_alert() {
    let key = key();
    let bytes = sealable(&identity(), &content(), &document(), AlertId::new()).alert;
    let opened = trust(&key).open_alert(AlertId::new(), "k1", &bytes, &key.seal(&bytes));
    assert_eq!(opened.unwrap_err(), SealError::Elsewhere("alert"));
}

#[test]
fn removing_a_key_is_revoking_it() {
    let (identity, key) = (identity(), key());
    let bytes = sealable(&identity, &content(), &document(), AlertId::new()).alert;
    let opened = TrustedKeys::default().open_alert(identity.id, "k1", &bytes, &key.seal(&bytes));
    assert_eq!(opened.unwrap_err(), SealError::UntrustedKey("k1".into()));
}

#[test]
fn the_recall_is_bound_by_the_alerts_own_digest() {
    let (identity, recall_id) = (identity(), AlertId::new());
    let sealable = sealable(&identity, &content(), &document(), recall_id);
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
    let bytes = sealable(&identity(), &content(), &document(), AlertId::new()).alert;
    let sealed: SealedAlert = serde_json::from_slice(&bytes).unwrap();
    let english = Language::of_locale("en-US").unwrap();
    let message = sealed.message(Provider::Fcm, &english, &[]).unwrap();
    assert_eq!(message.title, "Cảnh báo lũ quét");
    assert_eq!((message.kind, message.style), ("emergency", Style::Emergency));
}
