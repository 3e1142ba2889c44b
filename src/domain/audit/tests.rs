use time::macros::datetime;

use super::*;

/// A trail of so many entries.
pub(in crate::domain) fn trail(length: i64) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for seq in 1..=length {
        let previous = entries.last().map_or(BEGINNING.to_vec(), |entry| entry.hash.clone());
        entries.push(entry(seq, previous, "session.begun", json!({"n": seq})));
    }
    entries
}

/// An entry that holds.
pub(in crate::domain) fn entry(seq: i64, previous: Vec<u8>, action: &str, detail: Value) -> Entry {
    let mut entry = Entry {
        seq,
        at: datetime!(2026-11-23 01:02:03.000456 UTC),
        actor: "officer".into(),
        action: action.into(),
        subject: "alert".into(),
        detail,
        previous,
        hash: Vec::new(),
    };
    entry.hash = entry.expected_hash().expect("plain JSON");
    entry
}

fn walk(entries: &[Entry]) -> Result<i64, BrokenChain> {
    let mut walk = Walk::from_the_beginning();
    for entry in entries {
        walk.step(entry)?;
    }
    Ok(walk.head().0)
}

#[test]
fn an_entry_that_is_changed_removed_or_moved_breaks_the_chain_where_it_was() {
    let whole = trail(5);
    assert_eq!(walk(&whole), Ok(5));
    let mut changed = whole.clone();
    changed[2].actor = "somebody else".into();
    assert_eq!(walk(&changed), Err(BrokenChain::Changed { seq: 3 }));
    changed[2].hash = changed[2].expected_hash().expect("plain JSON");
    assert_eq!(walk(&changed), Err(BrokenChain::Unlinked { seq: 4 }), "its hash made to fit");
    let mut removed = whole.clone();
    removed.remove(1);
    assert_eq!(walk(&removed), Err(BrokenChain::Missing { seq: 2 }));
    let mut moved = whole.clone();
    moved.swap(1, 2);
    assert_eq!(walk(&moved), Err(BrokenChain::Missing { seq: 2 }));
    let mut twice = whole.clone();
    twice.insert(3, whole[2].clone());
    assert_eq!(walk(&twice), Err(BrokenChain::OutOfOrder { seq: 3 }));
}

#[test]
fn an_entry_read_from_an_export_has_the_hash_it_had() {
    let entry =
        entry(7, vec![3; 32], "alert.approved", json!({"số": "01/CĐ", "n": [1, 2.5, null]}));
    let line = serde_json::to_string(&entry).expect("JSON");
    let read: Entry = serde_json::from_str(&line).expect("ours");
    assert_eq!(read, entry);
    assert_eq!(read.expected_hash(), Some(entry.hash));
}
