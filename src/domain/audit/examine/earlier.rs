//! What was known of the trail earlier. Whoever can write the database can cut the tail together with its newest checkpoints; what they
//! cannot do is change what has left the machine: the log, `loa.events`, an older export.

use serde_json::Value;

use super::{Finding, Wrong, compare};
use crate::domain::audit::checkpoint::SignedCheckpoint;
use crate::domain::audit::record::Record;
use crate::domain::seal::TrustedKeys;

/// How a signed checkpoint begins, wherever it was kept.
const BEGINS: &str = "{\"checkpoint\":";

/// What somebody kept.
#[derive(Clone, Debug)]
pub struct Earlier {
    name: String,
    checkpoints: Vec<SignedCheckpoint>,
    head: Option<(i64, Vec<u8>)>,
}

impl Earlier {
    /// Nothing yet; `name` is how findings call it.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), checkpoints: Vec::new(), head: None }
    }

    /// Takes the next line: of an export, of a log in either form, or a message of `loa.events`. Other lines tell nothing.
    pub fn read(&mut self, line: &[u8]) {
        match serde_json::from_slice::<Record>(line) {
            Ok(Record::Entry(entry)) => {
                if self.head.as_ref().is_none_or(|(seq, _)| *seq < entry.seq) {
                    self.head = Some((entry.seq, entry.hash));
                }
            }
            Ok(Record::Checkpoint(signed)) => self.checkpoints.push(signed),
            Ok(_) => {}
            Err(_) => match serde_json::from_slice::<Value>(line) {
                Ok(value) => self.search(&value),
                Err(_) => self.search_text(&String::from_utf8_lossy(line)),
            },
        }
    }

    /// How many checkpoints there are to compare with.
    pub fn checkpoints(&self) -> usize {
        self.checkpoints.len()
    }

    fn search(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                match serde_json::from_value::<SignedCheckpoint>(value.clone()) {
                    Ok(signed) => self.checkpoints.push(signed),
                    Err(_) => members.values().for_each(|member| self.search(member)),
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.search(item)),
            Value::String(text) => self.search_text(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn search_text(&mut self, text: &str) {
        for (at, _) in text.match_indices(BEGINS) {
            let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter();
            if let Some(Ok(signed)) = values.next() {
                self.checkpoints.push(signed);
            }
        }
    }

    pub(super) fn compare(
        &self,
        trusted: &TrustedKeys,
        hashes: &[Vec<u8>],
        broken: bool,
        findings: &mut Vec<Finding>,
    ) {
        let name = &self.name;
        let mut find = |wrong| findings.push(Finding { line: None, wrong });
        if self.checkpoints.is_empty() && self.head.is_none() {
            return find(Wrong::NothingEarlier(name.clone()));
        }
        for signed in &self.checkpoints {
            let serial = signed.checkpoint.serial;
            match signed.open(trusted) {
                Ok(known) => {
                    let by = format!("checkpoint {serial} of {}, kept in {name},", known.at);
                    let found = compare((known.seq, &known.hash), &by, hashes, broken, None);
                    if let Some(found) = found {
                        find(found.wrong);
                    }
                }
                Err(error) => find(Wrong::EarlierForged { name: name.clone(), serial, error }),
            }
        }
        if let Some((seq, hash)) = &self.head {
            let by = format!("the earlier export {name}");
            let found = compare((*seq, hash), &by, hashes, broken, None);
            if let Some(found) = found {
                find(found.wrong);
            }
        }
    }
}
