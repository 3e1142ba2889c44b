//! The drill group: the phones a drill reaches, with their addresses, as each dispatcher's own configuration lists them.
//!
//! Nothing here is read from the database, so that whoever owns it can neither add a phone to the group nor give a member another
//! phone's address. Members have numbers as devices have them, dense within their provider, in the order of the list.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::device::{Address, Language, Provider};
use super::registration::{Registration, RegistrationRequest, WebPushRules};
use super::seal::digest;
use super::violation::Violation;

/// What a dispatcher with a drill group says of itself begins so.
const ANNOUNCED: &str = "drill:";

/// Characters of the list's digest that are told: enough to see that two lists differ.
const TOLD: usize = 16;

/// One phone of the group.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its number within its provider, from 1 on.
    pub number: i64,
    /// In which line of the list it stands, from 1 on.
    pub line: i32,
    /// Where.
    pub address: Address,
    /// In which language.
    pub language: Arc<Language>,
}

/// The phones a drill reaches.
#[derive(Clone, Debug)]
pub struct Group {
    members: [Vec<Member>; 3],
    word: GroupWord,
}

/// What a dispatcher tells of its group: how many, and which list; no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupWord {
    /// How many of each provider, by [`Provider::index`].
    pub devices: [i64; 3],
    list: String,
}

/// Why a list is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// A line that is no device.
    #[error("line {line}: {}", reasons(.broken))]
    Line {
        /// Which, from 1 on.
        line: usize,
        /// Everything that is wrong with it.
        broken: Vec<Violation>,
    },
    /// The same address again: the phone would ring twice.
    #[error("line {0}: the same address stands in an earlier line")]
    Twice(usize),
    /// Nobody.
    #[error("it lists no device")]
    Empty,
}

fn reasons(broken: &[Violation]) -> String {
    let each = broken.iter().map(|violation| format!("{}: {}", violation.field, violation.en));
    each.collect::<Vec<_>>().join("; ")
}

impl Group {
    /// Reads a list: one device a line, as `loa devices import` reads them.
    ///
    /// # Errors
    /// The first line that cannot be read. No error repeats an address.
    pub fn parse(list: &[u8], rules: &WebPushRules) -> Result<Self, GroupError> {
        let mut members: [Vec<Member>; 3] = Default::default();
        let mut known = BTreeSet::new();
        for (at, line) in list.split(|byte| *byte == b'\n').enumerate() {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let line_number = at + 1;
            let registration = parse_line(line, rules)
                .map_err(|broken| GroupError::Line { line: line_number, broken })?;
            if !known.insert(registration.address.hash()) {
                return Err(GroupError::Twice(line_number));
            }
            let of = &mut members[registration.address.provider().index()];
            let number = i64::try_from(of.len() + 1).unwrap_or(i64::MAX);
            let language = Arc::new(registration.language);
            let line = i32::try_from(line_number).unwrap_or(i32::MAX);
            of.push(Member { number, line, address: registration.address, language });
        }
        let devices = [0, 1, 2].map(|at| i64::try_from(members[at].len()).unwrap_or(i64::MAX));
        if devices == [0; 3] {
            return Err(GroupError::Empty);
        }
        let list = digest(list).chars().take(TOLD).collect();
        Ok(Self { members, word: GroupWord { devices, list } })
    }

    /// Members of a provider with numbers `first..=last`; of a range that lies outside, nobody.
    pub fn between(&self, provider: Provider, first: i64, last: i64) -> &[Member] {
        let of = &self.members[provider.index()];
        let from = of.partition_point(|member| member.number < first);
        let to = of.partition_point(|member| member.number <= last);
        of.get(from..to).unwrap_or_default()
    }

    /// What is told of it.
    pub fn word(&self) -> &GroupWord {
        &self.word
    }
}

fn parse_line(line: &[u8], rules: &WebPushRules) -> Result<Registration, Vec<Violation>> {
    // serde's own words may quote a value, and these are addresses.
    let unreadable = || {
        vec![Violation::new(
            "",
            "not_a_device",
            "Phải là một đối tượng JSON như khi nhập thiết bị.",
            "must be one JSON object, as for devices import",
        )]
    };
    let mut object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(line).map_err(|_| unreadable())?;
    // A member is an address; who it is belongs to nobody's drill.
    object.remove("installation");
    object.remove("subject");
    let request: RegistrationRequest =
        serde_json::from_value(object.into()).map_err(|_| unreadable())?;
    Registration::parse(request, rules)
}

impl GroupWord {
    /// As it stands among what a dispatcher announces.
    pub fn announced(&self) -> String {
        let [fcm, apns, webpush] = self.devices;
        format!("{ANNOUNCED}{fcm}.{apns}.{webpush}:{}", self.list)
    }

    /// What a dispatcher has announced, if it has a group.
    pub fn among(announced: &[String]) -> Option<Self> {
        announced.iter().find_map(|word| {
            let (devices, list) = word.strip_prefix(ANNOUNCED)?.split_once(':')?;
            let counts: Result<Vec<i64>, _> = devices.split('.').map(str::parse).collect();
            let devices = counts.ok()?.try_into().ok()?;
            Some(Self { devices, list: list.to_owned() })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(token: &str) -> String {
        format!(
            r#"{{"installation":"0193501e-7b60-7000-8000-000000000001","kind":"fcm_token","token":"{token}","locale":"en"}}"#
        )
    }

    fn parse(lines: &[String]) -> Result<Group, GroupError> {
        Group::parse(lines.join("\n").as_bytes(), &WebPushRules::default())
    }

    #[test]
    fn members_are_numbered_in_their_order_and_a_range_outside_holds_nobody() {
        let group = parse(&[line("token-one"), String::new(), line("token-two")]).expect("a group");
        let numbers = |first, last| -> Vec<i64> {
            let members = group.between(Provider::Fcm, first, last);
            members.iter().map(|member| member.number).collect()
        };
        assert_eq!(numbers(1, 2), [1, 2]);
        assert_eq!(numbers(2, 900), [2]);
        for (first, last) in [(3, 900), (-5, 0), (i64::MIN, i64::MIN), (2, 1)] {
            assert!(numbers(first, last).is_empty(), "{first}..={last}");
        }
        assert!(group.between(Provider::Apns, 1, 900).is_empty());
    }

    #[test]
    fn what_is_announced_is_understood_and_names_no_address() {
        let group = parse(&[line("token-one")]).expect("a group");
        let said = vec!["test".to_owned(), group.word().announced()];
        assert_eq!(GroupWord::among(&said).as_ref(), Some(group.word()));
        assert!(!said[1].contains("token"));
        assert_eq!(GroupWord::among(&["drill:1.2:x".into(), "reads:follow-ups".into()]), None);
        let other = parse(&[line("token-two")]).expect("a group");
        assert_ne!(other.word(), group.word(), "as many, but others");
    }

    #[test]
    fn a_line_that_is_no_device_is_named_without_its_address() {
        let wrong = parse(&[line("token-one"), r#"{"kind":"fcm_token","token":7777}"#.into()]);
        let said = wrong.expect_err("no device").to_string();
        assert!(said.starts_with("line 2: ") && !said.contains("7777"), "{said}");
        assert_eq!(
            parse(&[line("token-one"), line("token-one")]).expect_err("twice"),
            GroupError::Twice(2)
        );
        assert_eq!(parse(&[]).expect_err("nobody"), GroupError::Empty);
    }
}
