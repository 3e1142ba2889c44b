use serde_json::{Value, json};

use super::super::super::tests::entry;
use super::*;
use crate::domain::id::{ChangeId, OfficerId};

/// A trail as it comes in, entry by entry.
#[derive(Default)]
struct Trail {
    people: People,
    seq: i64,
    wrong: Vec<Wrong>,
}

impl Trail {
    fn then(&mut self, actor: &str, action: &str, subject: &str, detail: Value) -> &mut Self {
        self.seq += 1;
        let mut next = entry(self.seq, Vec::new(), action, detail);
        next.actor = actor.into();
        next.subject = subject.into();
        self.wrong.extend(self.people.take(&next));
        self
    }

    /// Opened by the operator's command, of a person whose digest this is.
    fn account(&mut self, role: &str, person: &str) -> String {
        let id = OfficerId::new().to_string();
        let detail = json!({"role": role, "person": person, "granted_by": null});
        self.then("operator", "officer.created", &id, detail);
        id
    }

    /// A province with two administrators.
    fn founded() -> (Self, String, String) {
        let mut trail = Self::default();
        let first = trail.account("administrator", "p1");
        let second = trail.account("administrator", "p2");
        (trail, first, second)
    }

    /// One proposes, the other confirms, and this is done.
    fn agreed(
        &mut self,
        [first, second]: [&str; 2],
        what: Value,
        (action, subject, mut detail): (&str, &str, Value),
    ) {
        let change = ChangeId::new().to_string();
        let mut named = what;
        named["digest"] = json!("d");
        self.then(first, "authority.proposed", &change, named.clone());
        detail["granted_by"] = json!(change);
        self.then(second, action, subject, detail);
        self.then(second, "authority.confirmed", &change, named);
    }

    fn wrong(self) -> Vec<Wrong> {
        let mut wrong = self.wrong;
        wrong.extend(self.people.finish());
        wrong
    }
}

fn why(wrong: &[Wrong]) -> Vec<&str> {
    wrong
        .iter()
        .map(|wrong| match wrong {
            Wrong::NoAgreement { why, .. } => *why,
            other => panic!("{other}"),
        })
        .collect()
}

#[test]
fn once_there_are_two_administrators_nothing_that_takes_two_is_done_by_one() {
    let (mut trail, first, _) = Trail::founded();
    let approver = trail.account("approver", "p3");
    trail.account("submitter", "p4");
    trail.then(&first, "officer.role_changed", &approver, json!({"role": "administrator"}));
    trail.then(&first, "officer.role_changed", &approver, json!({"role": "auditor"}));
    trail.then("operator", "api_key.created", "key", json!({"officer": first}));
    trail.then("operator", "broker_user.set", &first, json!({"user_id": "snnmt"}));
    trail.then("operator", "officer.person_named", &first, json!({"person": "p9"}));
    let found: Vec<(i64, String)> = trail
        .wrong()
        .into_iter()
        .map(|wrong| match wrong {
            Wrong::Unagreed { seq, action, .. } => (seq, action),
            other => panic!("{other}"),
        })
        .collect();
    let one = |seq: i64, action: &str| (seq, action.to_owned());
    let acts = [
        one(3, "officer.created"),
        one(5, "officer.role_changed"),
        one(7, "api_key.created"),
        one(8, "broker_user.set"),
        one(9, "officer.person_named"),
    ];
    assert_eq!(found, acts);
}

#[test]
fn while_a_province_is_founded_and_where_two_have_agreed_nothing_is_missed() {
    let mut trail = Trail::default();
    let first = trail.account("administrator", "p1");
    trail.account("approver", "p3");
    trail.then("operator", "api_key.created", "key", json!({"officer": "x"}));
    let twin = trail.account("administrator", "p1");
    trail.account("approver", "p4");
    let second = trail.account("administrator", "p2");
    trail.then("operator", "officer.invited", &first, json!({"granted_by": null}));
    trail.then(&twin, "officer.disabled", &twin, json!({}));
    let both = [first.as_str(), second.as_str()];
    let opened = ("officer.created", "new", json!({"role": "approver", "person": "p5"}));
    trail.agreed(both, json!({"open_account": "approver"}), opened);
    let key = ("api_key.created", "key2", json!({"officer": "new"}));
    trail.agreed(both, json!({"create_key": "new"}), key);
    // Whoever confirms may take the role from the one who proposed, or from themselves.
    let stepped_down = ("officer.role_changed", first.as_str(), json!({"role": "approver"}));
    trail.agreed(both, json!({"change_role": "approver", "officer": first}), stepped_down);
    assert_eq!(trail.wrong(), []);
}

#[test]
fn invitations_take_two_as_soon_as_two_administrators_have_passkeys() {
    let (mut trail, first, second) = Trail::founded();
    for administrator in [&first, &second] {
        let detail = json!({"passkey": administrator});
        trail.then(administrator, "passkey.registered", administrator, detail);
    }
    trail.then("operator", "officer.invited", &first, json!({"granted_by": null}));
    trail.then(&second, "officer.locked_out", &second, json!({}));
    trail.then("operator", "officer.invited", &second, json!({"granted_by": null}));
    let wrong = trail.wrong();
    assert!(matches!(&wrong[..], [Wrong::Unagreed { seq: 5, .. }]), "{wrong:?}");
}

#[test]
fn an_agreement_is_between_two_administrators_of_different_people_about_exactly_what_was_done() {
    let opened = || ("officer.created", "new", json!({"role": "approver", "person": "p5"}));
    let what = || json!({"open_account": "approver"});
    let (mut trail, first, _) = Trail::founded();
    let twin = trail.account("submitter", "p1");
    trail.agreed([&first, &first], what(), opened());
    trail.agreed([&first, &twin], what(), opened());
    assert_eq!(why(&trail.wrong()), ["by the person who had proposed it"; 2]);

    let (mut trail, first, second) = Trail::founded();
    let nobody = trail.account("submitter", "p9");
    trail.then(&second, "officer.disabled", &second, json!({}));
    trail.agreed([&first, &second], what(), opened());
    trail.agreed([&nobody, &first], what(), opened());
    let raised = ("officer.role_changed", nobody.as_str(), json!({"role": "administrator"}));
    let what_of = json!({"change_role": "administrator", "officer": nobody});
    trail.agreed([&nobody, &first], what_of, raised);
    let not_two = "one of the two was no administrator of whom it is known who it is";
    assert_eq!(why(&trail.wrong()), [not_two; 3]);

    let (mut trail, first, second) = Trail::founded();
    trail.agreed([&first, &second], json!({"open_account": "administrator"}), opened());
    assert_eq!(why(&trail.wrong()), ["something else was done in its name"]);

    let (mut trail, first, second) = Trail::founded();
    trail.then(&first, "authority.proposed", "c", json!({"open_account": "auditor"}));
    trail.then(&second, "authority.confirmed", "c", json!({"open_account": "approver"}));
    trail.then(&second, "authority.confirmed", "c", json!({"open_account": "approver"}));
    let told = ["not as it was proposed", "the trail knows no such proposal that was still open"];
    assert_eq!(why(&trail.wrong()), told);
}

#[test]
fn one_agreement_makes_one_and_one_that_nobody_confirmed_makes_none() {
    let (mut trail, first, _) = Trail::founded();
    trail.then(&first, "authority.proposed", "c", json!({"create_key": "x", "digest": "d"}));
    for key in ["one", "two"] {
        let detail = json!({"officer": "x", "granted_by": "c"});
        trail.then("operator", "api_key.created", key, detail);
    }
    let wrong = trail.wrong();
    let subjects: Vec<&str> = wrong
        .iter()
        .map(|wrong| match wrong {
            Wrong::Unagreed { subject, .. } => subject.as_str(),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(subjects, ["one", "two"]);
}

#[test]
fn an_approval_by_fewer_people_than_it_took_is_found() {
    let alert = AlertId::new();
    let id = alert.to_string();
    let endorsed = json!({"revision": 1, "needed": 2});
    let approved = json!({"revision": 1, "needed": 2});
    for (second, detail, fits) in [
        ("p2", approved.clone(), true),
        ("p1", approved, false),
        // Before it was written down, the endorsement itself says that one was not enough.
        ("p1", json!({"revision": 1}), false),
        // The number was lowered meanwhile.
        ("p1", json!({"revision": 1, "needed": 1}), true),
        ("p2", json!({"revision": 2, "needed": 2}), false),
    ] {
        let mut trail = Trail::default();
        let one = trail.account("approver", "p1");
        let other = trail.account("approver", second);
        trail.then(&one, "alert.endorsed", &id, endorsed.clone());
        trail.then(&other, "alert.approved", &id, detail.clone());
        let few = Wrong::TooFew { seq: 4, alert, people: 1, needed: 2 };
        assert_eq!(trail.wrong(), if fits { vec![] } else { vec![few] }, "{second} {detail}");
    }
}

#[test]
fn whoever_spoke_before_the_decision_is_compared_by_person() {
    let alert = AlertId::new();
    let id = alert.to_string();
    let mut trail = Trail::default();
    let writer = trail.account("submitter", "p1");
    let second_account = trail.account("approver", "p1");
    let other = trail.account("approver", "p2");
    trail.then(&writer, "alert.submitted", &id, json!({"revision": 1}));
    for approver in [&second_account, &other] {
        trail.then(approver, "alert.endorsed", &id, json!({"revision": 1}));
    }
    let people = trail.people;
    assert!(people.spoke_and_decided(alert, &second_account, &[]));
    assert!(!people.spoke_and_decided(alert, &other, std::slice::from_ref(&writer)));
    assert!(people.spoke_and_decided(alert, &other, std::slice::from_ref(&other)));
    assert!(people.spoke_and_decided(AlertId::new(), &second_account, &[writer]));
}
