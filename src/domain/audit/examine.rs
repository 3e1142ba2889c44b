//! Does everything that was recorded fit together? The chain, its checkpoints, who decided what, and what seals it: one examination for the
//! database and for an export of it.
//!
//! Pure: records come in, in the order of an export; what does not fit comes out in words, each with its place.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::checkpoint::{Checkpoint, NONE_BEFORE, SignedCheckpoint};
use super::record::{Decision, End, FORMAT, Record, Revision, SCHEMA, Seal, alert_of};
use super::{Entry, Walk};
use crate::domain::id::{AlertId, OfficerId};
use crate::domain::seal::{APPROVERS, TrustedKeys, digest};

/// What was known of the trail earlier: checkpoints kept elsewhere, an older export.
mod earlier;

/// What does not fit.
mod finding;

/// Who is who, and what two administrators agreed on.
mod people;

pub use earlier::Earlier;
pub use finding::{Finding, Wrong};

use people::People;

/// How it went.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What there was.
    pub counts: End,
    /// Seals that hold by a server's key rather than approvers' own.
    pub by_server: u64,
    /// Seals that hold.
    pub held: u64,
    /// How far the chain holds.
    pub walked: i64,
    /// The newest checkpoint that is believed.
    pub checkpoint: Option<Checkpoint>,
    /// What does not fit.
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Entries after the newest checkpoint, which nobody has signed for yet.
    pub fn uncovered(&self) -> i64 {
        self.walked - self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.seq)
    }
}

/// An entry that says that something was sealed.
struct Sealing {
    seq: i64,
    at: OffsetDateTime,
    /// Of an approval; a recall's was bound by its original's.
    digest: Option<String>,
}

/// Who decided what about which alert.
type Deed = (AlertId, String, String);

/// An examination under way.
pub struct Examiner<'a> {
    trusted: &'a TrustedKeys,
    line: Option<u64>,
    findings: Vec<Finding>,
    counts: End,
    /// Of an export: whether it began, and whether it ended.
    begun: bool,
    ended: bool,
    walk: Walk,
    broken: bool,
    /// Of each entry that holds, in order.
    hashes: Vec<Vec<u8>>,
    checkpoint: Option<Checkpoint>,
    sealings: BTreeMap<AlertId, Sealing>,
    /// Decisions that the trail knows, less those that were found.
    deeds: BTreeMap<Deed, i64>,
    people: People,
    revisions: BTreeMap<(AlertId, u32), Revision>,
    prepared_digests: BTreeMap<AlertId, String>,
    held: u64,
    by_server: u64,
}

impl<'a> Examiner<'a> {
    /// `trusted` should be [looking back](TrustedKeys::looking_back): what held when it was made still tells.
    pub fn new(trusted: &'a TrustedKeys) -> Self {
        Self {
            trusted,
            line: None,
            findings: Vec::new(),
            counts: End::default(),
            begun: false,
            ended: false,
            walk: Walk::from_the_beginning(),
            broken: false,
            hashes: Vec::new(),
            checkpoint: None,
            sealings: BTreeMap::new(),
            deeds: BTreeMap::new(),
            people: People::default(),
            revisions: BTreeMap::new(),
            prepared_digests: BTreeMap::new(),
            held: 0,
            by_server: 0,
        }
    }

    /// The same for an export, which comes line by line.
    pub fn of_export(trusted: &'a TrustedKeys) -> Self {
        Self { line: Some(0), ..Self::new(trusted) }
    }

    /// Takes the next line of an export.
    pub fn read(&mut self, line: &[u8]) {
        self.line = Some(self.line.unwrap_or(0) + 1);
        let record = match serde_json::from_slice(line) {
            Ok(record) => record,
            Err(error) => return self.find(Wrong::Unreadable(error.to_string())),
        };
        if self.ended {
            self.find(Wrong::BadEnd("something follows its last line"));
        }
        match &record {
            Record::Header(header) if self.begun => {
                self.find(Wrong::NoExport(format!("it begins again with {:?}", header.format)));
            }
            Record::Header(header) if header.format != FORMAT || header.schema != SCHEMA => {
                let what = format!("{:?}, schema {}", header.format, header.schema);
                self.find(Wrong::NoExport(what));
            }
            _ if !self.begun && !matches!(record, Record::Header(_)) => {
                self.find(Wrong::NoExport("its first line does not say what it is".into()));
            }
            _ => {}
        }
        self.begun = true;
        self.record(record);
    }

    /// Takes the next record.
    pub fn record(&mut self, record: Record) {
        self.counts.count(&record);
        match record {
            Record::Header(_) => {}
            Record::Entry(entry) => self.entry(entry),
            Record::Checkpoint(signed) => self.signed(&signed),
            Record::Revision(revision) => self.revision(revision),
            Record::Decision(decision) => self.decision(decision),
            Record::Seal(seal) => self.seal(&seal),
            Record::End(said) => {
                self.ended = true;
                if said != self.counts {
                    let found = self.counts;
                    self.find(Wrong::Miscounted { said, found });
                }
            }
        }
    }

    /// Everything has been read.
    pub fn finish(mut self, earlier: &[Earlier]) -> Verdict {
        if self.line.is_some() && !self.ended {
            self.find(Wrong::BadEnd("its last line is missing, so it was cut"));
        }
        self.line = None;
        for known in earlier {
            known.compare(self.trusted, &self.hashes, self.broken, &mut self.findings);
        }
        for wrong in std::mem::take(&mut self.people).finish() {
            self.find(wrong);
        }
        for ((alert, verdict, actor), missing) in std::mem::take(&mut self.deeds) {
            if missing > 0 {
                self.find(Wrong::Undecided { alert, verdict, actor });
            }
        }
        for (alert, Sealing { seq, .. }) in std::mem::take(&mut self.sealings) {
            self.find(Wrong::Unsealed { seq, alert });
        }
        Verdict {
            counts: self.counts,
            by_server: self.by_server,
            held: self.held,
            walked: self.walk.head().0,
            checkpoint: self.checkpoint,
            findings: self.findings,
        }
    }

    fn find(&mut self, wrong: Wrong) {
        self.findings.push(Finding { line: self.line, wrong });
    }

    fn entry(&mut self, entry: Entry) {
        // After the first that does not fit there is nothing to hold the next against.
        if !self.broken {
            match self.walk.step(&entry) {
                Ok(()) => self.hashes.push(entry.hash.clone()),
                Err(broken) => {
                    self.broken = true;
                    self.find(broken.into());
                }
            }
        }
        for wrong in self.people.take(&entry) {
            self.find(wrong);
        }
        let Some(alert) = alert_of(&entry) else { return };
        let verdict = match entry.action.as_str() {
            "alert.approved" => {
                let digest = entry.detail["digest"].as_str().map(str::to_owned);
                self.sealings.insert(alert, Sealing { seq: entry.seq, at: entry.at, digest });
                "approve"
            }
            "alert.endorsed" => "endorse",
            "alert.recalled" => {
                self.executed(&entry, "recall");
                "recall"
            }
            "alert.cleared" => {
                self.executed(&entry, "all_clear");
                "all_clear"
            }
            "alert.returned" => "return",
            "alert.rejected" => "reject",
            _ => return,
        };
        *self.deeds.entry((alert, verdict.to_owned(), entry.actor)).or_default() += 1;
    }

    /// What was sealed together with its original is sent from here on.
    fn executed(&mut self, entry: &Entry, name: &str) {
        if let Some(prepared) = entry.detail[name].as_str().and_then(|id| id.parse().ok()) {
            let sealing = Sealing { seq: entry.seq, at: entry.at, digest: None };
            self.sealings.insert(prepared, sealing);
        }
    }

    fn signed(&mut self, signed: &SignedCheckpoint) {
        let serial = signed.checkpoint.serial;
        let checkpoint = match signed.open(self.trusted) {
            Ok(checkpoint) => checkpoint,
            Err(error) => return self.find(Wrong::Forged { serial, error }),
        };
        let (before, named, from) = match &self.checkpoint {
            Some(last) => (last.serial, last.digest(), last.seq),
            None => (0, NONE_BEFORE.to_owned(), 0),
        };
        if serial != before.saturating_add(1)
            || checkpoint.previous != named
            || checkpoint.seq <= from
        {
            self.find(Wrong::CheckpointGap { serial, before });
        }
        let by = format!("checkpoint {serial} of {}", checkpoint.at);
        let known = (checkpoint.seq, checkpoint.hash.as_slice());
        self.findings.extend(compare(known, &by, &self.hashes, self.broken, self.line));
        self.checkpoint = Some(checkpoint.clone());
    }

    fn revision(&mut self, revision: Revision) {
        if let (Some(recall), Some(digest)) = (revision.recall, &revision.recall_digest) {
            self.prepared_digests.insert(recall, digest.clone());
        }
        if let (Some(all_clear), Some(digest)) = (revision.all_clear, &revision.all_clear_digest) {
            self.prepared_digests.insert(all_clear, digest.clone());
        }
        self.revisions.insert((revision.alert, revision.revision), revision);
    }

    fn decision(&mut self, decision: Decision) {
        let Decision { alert, revision, verdict, officer, digest, .. } = decision;
        if verdict == "approve" || verdict == "endorse" {
            let text = self.revisions.get(&(alert, revision));
            let same_text = text.is_some_and(|text| text.digest.is_some() && text.digest == digest);
            if !same_text {
                self.find(Wrong::OtherText { alert, revision });
            }
            let earlier = self.revisions.range((alert, 0)..=(alert, revision));
            let authors: Vec<String> =
                earlier.map(|(_, earlier)| earlier.author.to_string()).collect();
            if self.people.spoke_and_decided(alert, &officer.to_string(), &authors) {
                self.find(Wrong::SamePerson { alert, revision });
            }
        }
        self.decided(alert, verdict, officer);
    }

    fn decided(&mut self, alert: AlertId, verdict: String, officer: OfficerId) {
        let actor = officer.to_string();
        let deed = (alert, verdict, actor);
        match self.deeds.get_mut(&deed) {
            Some(left) if *left > 0 => *left -= 1,
            _ => {
                let (alert, verdict, actor) = deed;
                self.find(Wrong::Unrecorded { alert, verdict, actor });
            }
        }
    }

    fn seal(&mut self, seal: &Seal) {
        let alert = seal.alert;
        let sealing = self.sealings.remove(&alert);
        let found = digest(seal.sealed.as_bytes());
        let bound = sealing.as_ref().and_then(|sealing| sealing.digest.as_ref());
        // The bytes of what was prepared are those that its original's revision was written with.
        let bound = bound.or_else(|| self.prepared_digests.get(&alert));
        if sealing.is_none() || bound.is_some_and(|bound| *bound != found) {
            self.find(Wrong::Unapproved(alert));
        }
        let then = sealing.map_or(seal.at, |sealing| sealing.at);
        let trusted = self.trusted.as_of(then);
        match trusted.open_any(alert, &seal.key_id, seal.sealed.as_bytes(), &seal.signature) {
            Ok(_) => {
                self.held += 1;
                self.by_server += u64::from(seal.key_id != APPROVERS);
            }
            Err(error) => self.find(Wrong::Seal { alert, error }),
        }
    }
}

/// Is the trail the one that somebody knows up to an entry?
fn compare(
    (seq, hash): (i64, &[u8]),
    by: &str,
    hashes: &[Vec<u8>],
    broken: bool,
    line: Option<u64>,
) -> Option<Finding> {
    let index = usize::try_from(seq).ok().and_then(|seq| seq.checked_sub(1));
    let wrong = match index.and_then(|index| hashes.get(index)) {
        Some(found) if found == hash => return None,
        Some(_) => Wrong::Rewritten { seq, by: by.to_owned() },
        // Of what follows a break nothing is known; the break has been told.
        None if broken => return None,
        None => {
            let last = i64::try_from(hashes.len()).unwrap_or(i64::MAX);
            Wrong::Cut { last, seq, by: by.to_owned() }
        }
    };
    Some(Finding { line, wrong })
}

#[cfg(test)]
mod tests;
