//! What was made of a template is believed for what the template is, and for nothing else.

use super::*;
use crate::domain::alert::Filling;

const AT: OffsetDateTime = datetime!(2026-11-21 14:00 UTC);

fn template(change: impl FnOnce(&mut serde_json::Value)) -> AlertContent {
    let mut request = serde_json::json!({
        "kind": "warning", "category": "natural_disaster", "severity": "extreme", "urgency": "immediate",
        "certainty": "likely",
        "texts": {"vi": {"headline": "Lũ quét cấp {level}: {place}", "body": "Trước {time}.", "instruction": "Lên cao."}},
        "expires": "2027-06-01T00:00:00+07:00",
        "source": {"number": "01/CĐ", "date": "2026-11-21", "summary": "Công điện"},
        "attestations": {"whole_province": true, "no_state_secret": true},
        "recall": {"texts": {"vi": {"headline": "Báo nhầm", "body": "Không có lũ tại {place}."}}},
        "all_clear": {"texts": {"vi": {"headline": "Hết lũ", "body": "Đã qua tại {place}."}}},
        "template": {"name": "Lũ quét", "life_minutes": 120, "blanks": {
            "place": {"options": ["xã A", "xã B"], "at_most": 1}, "time": {"within_hours": 2}, "level": {"min": 3, "max": 5}}}
    });
    change(&mut request);
    let request: AlertRequest = serde_json::from_value(request).unwrap();
    AlertContent::parse(&request, datetime!(2026-11-21 07:00 UTC)).unwrap()
}

/// A template as two approved it, and the warning that it became.
struct Used {
    approving: Approving,
    template: Vec<u8>,
    identity: Identity,
    ids: PreparedIds,
    becomes: Sealable,
}

impl Used {
    fn new() -> Self {
        let (of, content) = (identity(), template(|_| {}));
        let bytes = sealable(&of, &content, &document(), PreparedIds::draw()).alert;
        let filling = Filling {
            places: vec!["xã B".into()],
            time: Some(datetime!(2026-11-21 22:30 +7)),
            level: Some(4),
        };
        let filled = Filled { template: of.id, digest: digest(&bytes), filling, at: AT };
        let (identity, ids) = (identity(), PreparedIds::draw());
        let becomes = sealable(&identity, &content.fill(filled).unwrap(), &document(), ids);
        Self { approving: Approving::new(), template: bytes, identity, ids, becomes }
    }

    fn alert(&self) -> SealedAlert {
        serde_json::from_slice(&self.becomes.alert).unwrap()
    }

    /// `bytes` under the seal of one approver, with the template beside them as `approved` have sealed it.
    fn seal(
        &self,
        bytes: &[u8],
        original: Option<&[u8]>,
        template: &[u8],
        approved: &[usize],
    ) -> Vec<u8> {
        let both = self.approving.seal(template, approved, None);
        let both: ApproversSeal = serde_json::from_slice(&both).unwrap();
        let one = self.approving.seal(bytes, &[2], original);
        let mut one: ApproversSeal = serde_json::from_slice(&one).unwrap();
        let sealed = String::from_utf8(template.to_vec()).unwrap();
        one.template = Some(TemplateSeal { sealed, seals: both.seals });
        serde_json::to_vec(&one).unwrap()
    }

    fn open(&self, bytes: &[u8]) -> Result<(), SealError> {
        let seal = self.seal(bytes, None, &self.template, &[0, 2]);
        self.approving.keys(2).open_alert(self.identity.id, APPROVERS, bytes, &seal).map(drop)
    }

    fn open_changed(&self, change: impl FnOnce(&mut SealedAlert)) -> Result<(), SealError> {
        let mut alert = self.alert();
        change(&mut alert);
        self.open(&canonical(&alert))
    }
}

fn is_not_of_template(opened: Result<(), SealError>, why: &str) {
    match opened {
        Err(SealError::NotOfTemplate(said)) => assert!(said.contains(why), "{said}"),
        other => panic!("{why}: {other:?}"),
    }
}

#[test]
fn one_approver_is_enough_for_what_two_have_sealed_in_advance() {
    let used = Used::new();
    assert_eq!(used.open(&used.becomes.alert), Ok(()));
    let alert = used.alert();
    let text = &alert.texts[&Language::vietnamese()];
    assert_eq!(text.headline, "Lũ quét cấp 4: xã B");
    assert_eq!(text.body, "Trước 22:30 ngày 21/11/2026.");
    assert_eq!((alert.risk_level, alert.expires), (Some(4), AT + time::Duration::hours(2)));
    for (id, bytes) in
        [used.becomes.recall.clone(), used.becomes.all_clear.clone()].into_iter().flatten()
    {
        let seal = used.seal(&bytes, Some(&used.becomes.alert), &used.template, &[0, 2]);
        let opened = used.approving.keys(2).open_alert(id, APPROVERS, &bytes, &seal).unwrap();
        assert!(opened.texts[&Language::vietnamese()].body.ends_with("tại xã B."));
    }
    assert!(used.becomes.recall.is_some_and(|(id, _)| id == used.ids.recall));
}

#[test]
fn invariant_5_nothing_starts_before_the_moment_at_which_it_says_it_was_filled_in() {
    let alert = Used::new().alert();
    assert_eq!(alert.not_before(), Some(AT));
    let recall = SealedAlert { purpose: Purpose::Recall, ..alert };
    assert_eq!(recall.not_before(), None, "a recall never waits");
}

#[test]
fn invariant_1_a_sealed_template_is_no_alert_and_no_alert_is_a_template() {
    let used = Used::new();
    let of: SealedAlert = serde_json::from_slice(&used.template).unwrap();
    let seal = used.approving.seal(&used.template, &[0, 2], None);
    let keys = used.approving.keys(2);
    let opened = keys.open_alert(of.id, APPROVERS, &used.template, &seal);
    assert_eq!(opened.map(drop), Err(SealError::Template));
    assert!(keys.open_template(of.id, APPROVERS, &used.template, &seal).is_ok());
    let alone = used.approving.seal(&used.template, &[0, 1], None);
    let opened = used.approving.keys(1).open_template(of.id, APPROVERS, &used.template, &alone);
    assert_eq!(
        opened.map(drop),
        Err(SealError::TooFew { have: 1, need: 2 }),
        "one person, two keys"
    );
    let plain = sealable(&identity(), &content(), &document(), PreparedIds::draw()).alert;
    let id = serde_json::from_slice::<SealedAlert>(&plain).unwrap().id;
    let opened =
        keys.open_template(id, APPROVERS, &plain, &used.approving.seal(&plain, &[0, 2], None));
    assert!(matches!(opened, Err(SealError::Unreadable(_))));
    // The server's key makes nothing of a template either.
    let server = key();
    let opened =
        trust_of(&server).open_alert(of.id, "k1", &used.template, &server.seal(&used.template));
    assert_eq!(opened.map(drop), Err(SealError::Template));
}

#[test]
fn whatever_the_template_does_not_say_is_refused() {
    let used = Used::new();
    let vietnamese = Language::vietnamese();
    let differs = "its words or its settings differ";
    is_not_of_template(
        used.open_changed(|it| it.texts.get_mut(&vietnamese).unwrap().body.push('!')),
        differs,
    );
    is_not_of_template(
        used.open_changed(|it| it.screens.get_mut(&vietnamese).unwrap().fcm.title.push('!')),
        differs,
    );
    is_not_of_template(
        used.open_changed(|it| it.link = Some("https://example.com/".into())),
        differs,
    );
    is_not_of_template(
        used.open_changed(|it| it.url = format!("https://example.com/public/alerts/{}", it.id)),
        differs,
    );
    is_not_of_template(used.open_changed(|it| it.severity = Severity::Severe), differs);
    is_not_of_template(used.open_changed(|it| it.risk_level = Some(5)), differs);
    is_not_of_template(used.open_changed(|it| it.expires += time::Duration::minutes(1)), differs);
    is_not_of_template(used.open_changed(|it| it.agency.name = "Khác".into()), differs);
    is_not_of_template(used.open_changed(|it| it.document.sha256 = "11".repeat(32)), differs);
    is_not_of_template(used.open_changed(|it| it.send_at = Some(AT)), differs);
    is_not_of_template(used.open_changed(|it| it.version = 2), differs);
    is_not_of_template(
        used.open_changed(|it| it.recall_digest = None),
        "something else was prepared",
    );
    let refill =
        |change: fn(&mut Filled)| used.open_changed(|it| change(it.filled.as_mut().unwrap()));
    is_not_of_template(refill(|it| it.filling.places = vec!["xã C".into()]), "not_on_the_list");
    is_not_of_template(refill(|it| it.filling.places.clear()), "out_of_range");
    is_not_of_template(refill(|it| it.filling.level = Some(2)), "out_of_range");
    is_not_of_template(
        refill(|it| it.filling.time = Some(AT + time::Duration::hours(3))),
        "out_of_range",
    );
    is_not_of_template(refill(|it| it.at = datetime!(2027-07-01 00:00 UTC)), "too_old");
    is_not_of_template(refill(|it| it.digest = "00".repeat(32)), "another template");
    is_not_of_template(refill(|it| it.template = AlertId::new()), "another template");
}

#[test]
fn a_template_that_is_not_there_not_the_same_or_not_sealed_by_two_helps_nobody() {
    let used = Used::new();
    let keys = used.approving.keys(2);
    let open = |seal: &[u8]| {
        keys.open_alert(used.identity.id, APPROVERS, &used.becomes.alert, seal).map(drop)
    };
    let without = used.approving.seal(&used.becomes.alert, &[0, 2], None);
    is_not_of_template(open(&without), "not beside it");
    let too_few = SealError::TooFew { have: 1, need: 2 };
    let one = used.seal(&used.becomes.alert, None, &used.template, &[0]);
    assert_eq!(open(&one), Err(too_few.clone()));
    let same_person = used.seal(&used.becomes.alert, None, &used.template, &[0, 1]);
    assert_eq!(open(&same_person), Err(too_few));
    let other = template(|it| it["texts"]["vi"]["instruction"] = "Ở yên trong nhà.".into());
    let other = sealable(&identity(), &other, &document(), PreparedIds::draw()).alert;
    is_not_of_template(
        open(&used.seal(&used.becomes.alert, None, &other, &[0, 2])),
        "another template",
    );

    let mut later = Used::new();
    let (becomes, of) = (later.becomes.alert.clone(), later.template.clone());
    let seal = later.seal(&becomes, None, &of, &[0, 2]);
    later.approving.trust = later.approving.trust.clone().revoke("a", AT).unwrap();
    let opened = later.approving.keys(2).open_alert(later.identity.id, APPROVERS, &becomes, &seal);
    assert_eq!(opened.map(drop), Err(SealError::Approver(ApproverError::Revoked("a".into()))));
}

#[test]
fn one_approver_prepares_no_recall_of_their_own_words() {
    let used = Used::new();
    let (id, recall) = used.becomes.recall.clone().unwrap();
    let mut words: SealedAlert = serde_json::from_slice(&recall).unwrap();
    words.texts.get_mut(&Language::vietnamese()).unwrap().body = "Bấm vào đây.".into();
    words.screens = render(words.status, words.purpose, words.lane, &words.texts, &[]);
    let forged = canonical(&words);
    // The alert names the forged recall; nothing else differs.
    let mut alert = used.alert();
    alert.recall_digest = Some(digest(&forged));
    let alert = canonical(&alert);
    assert_eq!(used.open(&alert), Ok(()), "nobody sees yet what it names");
    let seal = used.seal(&forged, Some(&alert), &used.template, &[0, 2]);
    let opened = used.approving.keys(2).open_alert(id, APPROVERS, &forged, &seal).map(drop);
    is_not_of_template(opened, "other words");
}
