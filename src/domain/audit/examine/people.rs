//! Two people, wherever it takes two, as the trail itself tells it: whoever wrote an alert did not approve it, each approval that counts is
//! another person's, and what gives authority was agreed on by two administrators.
//!
//! A person is known by the digest that the trail has of whose an account is. An account of which nothing was said is a person of its own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::Entry;
use super::super::record::alert_of;
use super::Wrong;
use crate::domain::account::Role;
use crate::domain::authority::gives_authority;
use crate::domain::id::AlertId;

/// An account, as far as the trail has come.
#[derive(Clone, Debug, Default)]
struct Account {
    /// Digest of whose it is; nothing where nobody has said it.
    person: Option<String>,
    role: Option<Role>,
    closed: bool,
    /// Digests of the passkeys it is entered with.
    passkeys: BTreeSet<String>,
}

impl Account {
    fn administrator(&self) -> Option<&str> {
        let administers = self.role == Some(Role::Administrator) && !self.closed;
        self.person.as_deref().filter(|_| administers)
    }
}

/// A change that was proposed and has not been confirmed.
#[derive(Clone, Debug)]
struct Proposal {
    by: String,
    detail: Value,
}

/// Something that takes two, done in the name of a change: its entry comes just before the confirmation's, in one transaction with it.
#[derive(Clone, Debug)]
struct Deed {
    seq: i64,
    action: String,
    subject: String,
    /// What must have been agreed on.
    agreed: Value,
    /// The account it is about, as it was before.
    was: Option<Account>,
}

impl Deed {
    fn unagreed(self) -> Wrong {
        Wrong::Unagreed { seq: self.seq, action: self.action, subject: self.subject }
    }
}

/// Everybody whom the trail knows.
#[derive(Clone, Debug, Default)]
pub(super) struct People {
    accounts: BTreeMap<String, Account>,
    proposals: BTreeMap<String, Proposal>,
    /// By the change in whose name they were done; taken out by its confirmation.
    deeds: BTreeMap<String, Deed>,
    /// Who has written, mended or submitted an alert.
    spoke: BTreeMap<AlertId, BTreeSet<String>>,
    /// The same at the moment when somebody approved or endorsed it.
    heard: BTreeMap<(AlertId, String), BTreeSet<String>>,
    endorsed: BTreeMap<(AlertId, u64), BTreeSet<String>>,
}

impl People {
    /// Takes the next entry.
    pub(super) fn take(&mut self, entry: &Entry) -> Vec<Wrong> {
        let mut wrong: Vec<Wrong> = self.agreed(entry).into_iter().collect();
        match entry.action.as_str() {
            "authority.proposed" => {
                let proposal = Proposal { by: entry.actor.clone(), detail: entry.detail.clone() };
                self.proposals.insert(entry.subject.clone(), proposal);
            }
            "authority.confirmed" => wrong.extend(self.confirmed(entry)),
            "officer.created" => {
                let (person, role) = (word(entry, "person"), role(entry));
                let account = Account { person, role, ..Account::default() };
                self.accounts.insert(entry.subject.clone(), account);
            }
            "officer.role_changed" => self.account(entry).role = role(entry),
            "officer.person_named" => self.account(entry).person = word(entry, "person"),
            "officer.disabled" => self.account(entry).closed = true,
            "passkey.registered" => self.account(entry).passkeys.extend(word(entry, "passkey")),
            "passkey.removed" => {
                let gone = word(entry, "passkey");
                self.account(entry).passkeys.retain(|passkey| Some(passkey) != gone.as_ref());
            }
            "officer.locked_out" | "officer.enrolling" => self.account(entry).passkeys.clear(),
            _ => {}
        }
        if let Some(alert) = alert_of(entry) {
            wrong.extend(self.about(alert, entry));
        }
        wrong
    }

    /// What was done in the name of a change that nobody confirmed afterwards.
    pub(super) fn finish(self) -> impl Iterator<Item = Wrong> {
        self.deeds.into_values().map(Deed::unagreed)
    }

    /// Did the person who decided write or submit it, by any account? `authors` are those of its revisions, whatever the trail says.
    pub(super) fn spoke_and_decided(
        &self,
        alert: AlertId,
        decided: &str,
        authors: &[String],
    ) -> bool {
        let heard = self.heard.get(&(alert, decided.to_owned())).into_iter().flatten();
        let mut spoke = heard.chain(authors);
        spoke.any(|spoke| self.person(spoke) == self.person(decided))
    }

    fn account(&mut self, entry: &Entry) -> &mut Account {
        self.accounts.entry(entry.subject.clone()).or_default()
    }

    fn person<'a>(&'a self, officer: &'a str) -> &'a str {
        self.accounts.get(officer).and_then(|account| account.person.as_deref()).unwrap_or(officer)
    }

    /// Whose account this is, if it administers and somebody has said it.
    fn administrator(&self, officer: &str) -> Option<&str> {
        self.accounts.get(officer)?.administrator()
    }

    /// Are there two administrators of different people? Until then a province is being founded, and the operator's commands make everything;
    /// until two of them have passkeys, they invite.
    fn is_founded(&self, with_passkeys: bool) -> bool {
        let there = self.accounts.values().filter(|it| !with_passkeys || !it.passkeys.is_empty());
        there.filter_map(Account::administrator).collect::<BTreeSet<_>>().len() >= 2
    }

    /// Something that takes two administrators: is it done in the name of a change, and only once in that name?
    fn agreed(&mut self, entry: &Entry) -> Option<Wrong> {
        let (needs_two, agreed) = self.takes_two(entry)?;
        let deed = Deed {
            seq: entry.seq,
            action: entry.action.clone(),
            subject: entry.subject.clone(),
            agreed,
            was: self.accounts.get(&entry.subject).cloned(),
        };
        match word(entry, "granted_by") {
            Some(change) => self.deeds.insert(change, deed).map(Deed::unagreed),
            None if needs_two && self.is_founded(entry.action == "officer.invited") => {
                Some(deed.unagreed())
            }
            None => None,
        }
    }

    /// Whether one administrator may not do this alone, and as what it was proposed.
    fn takes_two(&self, entry: &Entry) -> Option<(bool, Value)> {
        let (subject, detail) = (&entry.subject, &entry.detail);
        // A role that we do not know might be one that decides.
        let strong = |role: Option<Role>| role.is_none_or(gives_authority);
        Some(match entry.action.as_str() {
            "officer.created" => (strong(role(entry)), json!({"open_account": detail["role"]})),
            "officer.role_changed" => {
                (strong(role(entry)), json!({"change_role": detail["role"], "officer": subject}))
            }
            // Whose an approver is decides who two people are.
            "officer.person_named" => {
                let role = self.accounts.get(subject).and_then(|account| account.role);
                (role.is_some_and(gives_authority), Value::Null)
            }
            "api_key.created" => (true, json!({"create_key": detail["officer"]})),
            "broker_user.set" => (true, json!({"act_as": subject})),
            "client.linked" => {
                (true, json!({"link_client": detail["officer"], "client": detail["client"]}))
            }
            "officer.invited" => (true, json!({"invite": subject})),
            _ => return None,
        })
    }

    /// Two administrators of different people have agreed on exactly what was done, or have they?
    fn confirmed(&mut self, entry: &Entry) -> Option<Wrong> {
        let change = entry.subject.clone();
        let deed = self.deeds.remove(&change);
        let proposal = self.proposals.remove(&change);
        let why = match (&proposal, &deed) {
            (None, _) => "the trail knows no such proposal that was still open",
            (Some(proposal), _) if proposal.detail != entry.detail => "not as it was proposed",
            (Some(Proposal { by, .. }), _) if self.person(by) == self.person(&entry.actor) => {
                "by the person who had proposed it"
            }
            (Some(Proposal { by, .. }), _)
                if !self.are_administrators([by, &entry.actor], deed.as_ref()) =>
            {
                "one of the two was no administrator of whom it is known who it is"
            }
            (Some(_), Some(deed)) if deed.agreed != without_digest(&entry.detail) => {
                "something else was done in its name"
            }
            (Some(_), None) => "nothing was done in its name",
            (Some(_), Some(_)) => return None,
        };
        Some(Wrong::NoAgreement { seq: entry.seq, change, why })
    }

    /// Both, as they were before what was done: the change may have taken the role from one of the two.
    fn are_administrators(&self, both: [&str; 2], deed: Option<&Deed>) -> bool {
        let changed = deed.and_then(|deed| Some((deed.subject.as_str(), deed.was.as_ref()?)));
        both.into_iter().all(|officer| match changed {
            Some((subject, was)) if subject == officer => was.administrator().is_some(),
            Some(_) | None => self.administrator(officer).is_some(),
        })
    }

    fn about(&mut self, alert: AlertId, entry: &Entry) -> Option<Wrong> {
        let revision = (alert, entry.detail["revision"].as_u64().unwrap_or(0));
        match entry.action.as_str() {
            "alert.created" | "alert.revised" | "alert.document_attached" | "alert.submitted" => {
                self.spoke.entry(alert).or_default().insert(entry.actor.clone());
                None
            }
            "alert.endorsed" => {
                self.hear(alert, entry);
                let person = self.person(&entry.actor).to_owned();
                self.endorsed.entry(revision).or_default().insert(person);
                None
            }
            "alert.approved" => {
                self.hear(alert, entry);
                let mut people = self.endorsed.remove(&revision).unwrap_or_default();
                // Entries of earlier releases do not say how many it took; an endorsement says that one was not enough.
                let least = if people.is_empty() { 1 } else { 2 };
                let needed = entry.detail["needed"]
                    .as_u64()
                    .map_or(Some(least), |needed| usize::try_from(needed).ok());
                people.insert(self.person(&entry.actor).to_owned());
                let (needed, people) = (needed.unwrap_or(usize::MAX), people.len());
                (people < needed).then_some(Wrong::TooFew { seq: entry.seq, alert, people, needed })
            }
            _ => None,
        }
    }

    fn hear(&mut self, alert: AlertId, entry: &Entry) {
        let spoke = self.spoke.get(&alert).cloned().unwrap_or_default();
        self.heard.entry((alert, entry.actor.clone())).or_default().extend(spoke);
    }
}

fn word(entry: &Entry, name: &str) -> Option<String> {
    entry.detail[name].as_str().map(str::to_owned)
}

fn role(entry: &Entry) -> Option<Role> {
    entry.detail["role"].as_str().and_then(Role::from_word)
}

/// A change as the trail names it, without the digest of what stays out of the trail.
fn without_digest(detail: &Value) -> Value {
    let mut detail = detail.clone();
    if let Some(members) = detail.as_object_mut() {
        members.remove("digest");
    }
    detail
}

#[cfg(test)]
mod tests;
