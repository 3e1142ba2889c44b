use serde_json::json;
use time::macros::datetime;

use super::super::record::Header;
use super::super::tests::{entry, trail};
use super::*;
use crate::domain::seal::{SealError, SealingKey};

fn key() -> SealingKey {
    let pkcs8 = SealingKey::generate().expect("random bytes");
    SealingKey::from_pkcs8("2026-a", &pkcs8).expect("our own")
}

fn trusting(key: &SealingKey) -> TrustedKeys {
    TrustedKeys::of([("2026-a".to_owned(), key.public())])
}

/// Five entries, signed for at the second and the fourth.
fn recorded(key: &SealingKey) -> (Vec<Entry>, Vec<SignedCheckpoint>) {
    let entries = trail(5);
    let mut checkpoints: Vec<SignedCheckpoint> = Vec::new();
    for seq in [2, 4] {
        let before = checkpoints.last().map(|signed| &signed.checkpoint);
        let head = &entries[usize::try_from(seq - 1).expect("small")];
        let at = datetime!(2026-11-23 02:00 UTC);
        let next = Checkpoint::following(before, (seq, &head.hash), at, key.id());
        checkpoints.push(next.sign(key));
    }
    (entries, checkpoints)
}

fn records(entries: &[Entry], checkpoints: &[SignedCheckpoint]) -> Vec<Record> {
    let mut records: Vec<Record> = entries.iter().cloned().map(Record::Entry).collect();
    records.extend(checkpoints.iter().cloned().map(Record::Checkpoint));
    records
}

fn examine(
    trusted: &TrustedKeys,
    entries: &[Entry],
    checkpoints: &[SignedCheckpoint],
    earlier: &[Earlier],
) -> Vec<Wrong> {
    let mut examiner = Examiner::new(trusted);
    for record in records(entries, checkpoints) {
        examiner.record(record);
    }
    examiner.finish(earlier).findings.into_iter().map(|finding| finding.wrong).collect()
}

/// All of it again, as somebody who owns the table would: every hash fits.
fn rewritten(entries: &[Entry]) -> Vec<Entry> {
    let mut rewritten: Vec<Entry> = Vec::new();
    for old in entries {
        let previous = rewritten.last().map_or(vec![0; 32], |last: &Entry| last.hash.clone());
        let mut new = entry(old.seq, previous, &old.action, old.detail.clone());
        if old.seq == 3 {
            new.actor = "somebody else".into();
            new.hash = new.expected_hash().expect("plain JSON");
        }
        rewritten.push(new);
    }
    rewritten
}

fn by(serial: i64) -> String {
    format!("checkpoint {serial} of 2026-11-23 2:00:00.0 +00:00:00")
}

#[test]
fn a_whole_trail_holds_and_says_what_nobody_has_signed_for_yet() {
    let key = key();
    let (entries, checkpoints) = recorded(&key);
    let trusted = trusting(&key);
    let mut examiner = Examiner::new(&trusted);
    for record in records(&entries, &checkpoints) {
        examiner.record(record);
    }
    let verdict = examiner.finish(&[]);
    assert_eq!((verdict.findings.as_slice(), verdict.walked, verdict.uncovered()), (&[][..], 5, 1));
}

#[test]
fn a_trail_rewritten_whole_with_hashes_that_fit_is_not_the_one_that_was_signed() {
    let key = key();
    let (entries, checkpoints) = recorded(&key);
    let found = examine(&trusting(&key), &rewritten(&entries), &checkpoints, &[]);
    assert_eq!(found, [Wrong::Rewritten { seq: 4, by: by(2) }]);
}

#[test]
fn a_tail_cut_behind_a_checkpoint_is_missed() {
    let key = key();
    let (entries, checkpoints) = recorded(&key);
    let found = examine(&trusting(&key), &entries[..3], &checkpoints, &[]);
    assert_eq!(found, [Wrong::Cut { last: 3, seq: 4, by: by(2) }]);
}

#[test]
fn a_tail_cut_together_with_its_checkpoints_is_missed_by_what_left_the_machine() {
    let key = key();
    let (entries, checkpoints) = recorded(&key);
    let (trusted, cut) = (trusting(&key), &entries[..3]);
    assert_eq!(examine(&trusted, cut, &checkpoints[..1], &[]), []);

    let whole = serde_json::to_string(&checkpoints[1]).expect("JSON");
    let for_people =
        format!("2026-11-23T02:00:00Z  INFO loa::audit::checkpoint: … checkpoint={whole}");
    let for_machines = json!({"level": "INFO", "fields": {"checkpoint": whole}}).to_string();
    let event = json!({"version": 1, "event": "trail.checkpoint", "checkpoint": checkpoints[1]});
    let line = serde_json::to_string(&Record::Checkpoint(checkpoints[1].clone())).expect("JSON");
    for kept in [for_people, for_machines, event.to_string(), line] {
        let mut earlier = Earlier::named("the log");
        earlier.read(b"2026-11-23T01:59:59Z  INFO loa: something else {\"checkpoint\": 7}");
        earlier.read(kept.as_bytes());
        let found = examine(&trusted, cut, &checkpoints[..1], &[earlier.clone()]);
        let by = format!("{}, kept in the log,", by(2));
        assert_eq!(found, [Wrong::Cut { last: 3, seq: 4, by }], "{kept}");
        assert_eq!(examine(&trusted, &entries, &checkpoints, &[earlier]), [], "{kept}");
    }
}

#[test]
fn an_export_extends_the_one_before_it_or_is_found_out() {
    let key = key();
    let (entries, checkpoints) = recorded(&key);
    let trusted = trusting(&key);
    let mut earlier = Earlier::named("monday.jsonl");
    for record in records(&entries[..3], &checkpoints[..1]) {
        earlier.read(serde_json::to_string(&record).expect("JSON").as_bytes());
    }
    assert_eq!(examine(&trusted, &entries, &checkpoints, &[earlier.clone()]), []);
    let found = examine(&trusted, &rewritten(&entries), &[], &[earlier]);
    let by = "the earlier export monday.jsonl".to_owned();
    assert_eq!(found, [Wrong::Rewritten { seq: 3, by }]);
    let nothing = examine(&trusted, &entries, &checkpoints, &[Earlier::named("empty.log")]);
    assert_eq!(nothing, [Wrong::NothingEarlier("empty.log".into())]);
}

#[test]
fn a_checkpoint_that_no_trusted_key_signed_is_not_believed() {
    let (key, stranger) = (key(), key());
    let (entries, _) = recorded(&key);
    let again = rewritten(&entries);
    let head = (5, again[4].hash.as_slice());
    let at = datetime!(2026-11-23 02:00 UTC);
    let forged = Checkpoint::following(None, head, at, "2026-a").sign(&stranger);
    let found = examine(&trusting(&key), &again, std::slice::from_ref(&forged), &[]);
    assert_eq!(found, [Wrong::Forged { serial: 1, error: SealError::Forged }]);
    let found = examine(&TrustedKeys::default(), &again, &[forged], &[]);
    let error = SealError::UntrustedKey("2026-a".into());
    assert_eq!(found, [Wrong::Forged { serial: 1, error }]);
}

#[test]
fn a_checkpoint_removed_or_put_elsewhere_is_missed() {
    let key = key();
    let (entries, checkpoints) = recorded(&key);
    let first_gone = examine(&trusting(&key), &entries, &checkpoints[1..], &[]);
    assert_eq!(first_gone, [Wrong::CheckpointGap { serial: 2, before: 0 }]);
    let swapped = [checkpoints[1].clone(), checkpoints[0].clone()];
    let found = examine(&trusting(&key), &entries, &swapped, &[]);
    assert_eq!(found[0], Wrong::CheckpointGap { serial: 2, before: 0 });
}

#[test]
fn a_decision_that_the_trail_does_not_know_and_one_that_vanished_are_both_found() {
    let key = key();
    let trusted = trusting(&key);
    let (alert, officer) = (AlertId::new(), OfficerId::new());
    let mut returned = entry(1, vec![0; 32], "alert.returned", json!({"revision": 1}));
    returned.subject = alert.to_string();
    returned.actor = officer.to_string();
    returned.hash = returned.expected_hash().expect("plain JSON");
    let decision = Record::Decision(Decision {
        alert,
        revision: 1,
        verdict: "return".into(),
        officer,
        at: datetime!(2026-11-23 02:00 UTC),
        digest: None,
    });
    let examine = |records: Vec<Record>| -> Vec<Wrong> {
        let mut examiner = Examiner::new(&trusted);
        for record in records {
            examiner.record(record);
        }
        examiner.finish(&[]).findings.into_iter().map(|finding| finding.wrong).collect()
    };
    assert_eq!(examine(vec![Record::Entry(returned.clone()), decision.clone()]), []);
    let (verdict, actor) = ("return".to_owned(), officer.to_string());
    assert_eq!(
        examine(vec![Record::Entry(returned)]),
        [Wrong::Undecided { alert, verdict: verdict.clone(), actor: actor.clone() }]
    );
    assert_eq!(examine(vec![decision]), [Wrong::Unrecorded { alert, verdict, actor }]);
}

/// An export as a file holds it.
fn export(key: &SealingKey) -> Vec<u8> {
    let (entries, checkpoints) = recorded(key);
    let at = datetime!(2026-11-23 02:00 UTC);
    let mut all = vec![Record::Header(Header { format: FORMAT.into(), schema: SCHEMA, at })];
    all.extend(records(&entries, &checkpoints));
    let mut end = End::default();
    for record in &all {
        end.count(record);
    }
    all.push(Record::End(end));
    let lines: Vec<String> =
        all.iter().map(|record| serde_json::to_string(record).expect("JSON")).collect();
    lines.join("\n").into_bytes()
}

fn read(trusted: &TrustedKeys, export: &[u8]) -> Verdict {
    let mut examiner = Examiner::of_export(trusted);
    for line in export.split(|byte| *byte == b'\n') {
        examiner.read(line);
    }
    examiner.finish(&[])
}

#[test]
fn an_export_is_read_back_whole_and_whatever_byte_is_changed_is_found() {
    let key = key();
    let (trusted, whole) = (trusting(&key), export(&key));
    let verdict = read(&trusted, &whole);
    assert_eq!((verdict.findings.as_slice(), verdict.counts.entries), (&[][..], 5));
    // What the header says about the time is nobody's word; everything after it is bound.
    let header = whole.iter().position(|byte| *byte == b'\n').expect("lines");
    let said = |bytes: &[u8]| -> Vec<Option<Record>> {
        bytes.split(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).ok()).collect()
    };
    for at in header..whole.len() {
        let mut mangled = whole.clone();
        mangled[at] ^= 1;
        // RFC 3339 lets a time be written with something else than a T in its middle: that says the same.
        let found = !read(&trusted, &mangled).findings.is_empty();
        assert!(found || said(&mangled) == said(&whole), "byte {at}");
    }
}

#[test]
fn an_export_cut_anywhere_is_found_to_be_cut_and_nonsense_is_no_export() {
    let key = key();
    let (trusted, whole) = (trusting(&key), export(&key));
    for length in 0..whole.len() {
        assert!(!read(&trusted, &whole[..length]).findings.is_empty(), "{length} bytes");
    }
    let deep = vec![b'['; 100_000];
    for nonsense in [&b"\xff\xfe\x00"[..], b"[]", b"{}", b"{\"kind\":\"entry\"}", &deep] {
        assert!(!read(&trusted, nonsense).findings.is_empty());
    }
}
