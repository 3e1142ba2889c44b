//! Changes of who may do what, and which of them take two administrators of different people.
//!
//! A false alert needs somebody who may approve, or a key that may write: so that nobody makes either alone, giving a role that decides
//! or that gives roles, and every key, is proposed by one administrator and confirmed by another. Taking away needs one.

use serde::{Deserialize, Serialize};

use super::account::Role;
use super::id::{AgencyId, OfficerId};
use super::text;
use super::violation::Violation;

/// User-perceived characters of a person's or an agency's name.
pub const NAME_MAX: usize = 200;
/// User-perceived characters of what a key is for, of a person's claim, of a RabbitMQ user.
pub const LABEL_MAX: usize = 120;

/// One change of who may do what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// A new account, without a password and without keys.
    OpenAccount(NewAccount),
    /// Another role for an account; what it could do by its keys and sessions ends.
    ChangeRole {
        /// Whose.
        officer: OfficerId,
        /// From now on.
        role: Role,
    },
    /// A key with which a system acts as an officer.
    CreateKey {
        /// As whom.
        officer: OfficerId,
        /// What it is for.
        label: String,
    },
    /// A RabbitMQ user, whose name the broker vouches for, acts as an officer.
    ActAs {
        /// As whom.
        officer: OfficerId,
        /// RabbitMQ's user.
        user_id: String,
    },
    /// A client of the issuer of access tokens acts as an officer.
    LinkClient {
        /// As whom.
        officer: OfficerId,
        /// Which.
        #[serde(flatten)]
        client: Client,
    },
    /// The person registers a first passkey, or begins anew after losing every one. Whoever holds both halves of the code is that person to
    /// us, so no administrator alone ever has both.
    Invite {
        /// Whom.
        officer: OfficerId,
        /// SHA-256 of the half that the first administrator was shown, hexadecimal.
        first_hash: String,
    },
}

/// A client of an issuer of access tokens, as its tokens name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Whose client.
    pub issuer: String,
    /// `client_id`.
    pub client_id: String,
    /// `sub`: the client again, or what the issuer calls it when nobody has signed in. A person's would be another.
    pub subject: String,
}

/// An account to be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAccount {
    /// The unit the person acts for.
    pub agency: AgencyId,
    /// As shown to colleagues.
    pub name: String,
    /// What the person types to sign in: lower-case letters, digits, `.`, `-`, `_`.
    pub login: String,
    /// Whom it belongs to, by the province's directory: a staff number, or the subject of its single sign-on. Two accounts of one person
    /// are one person, who never approves what either wrote.
    pub person: String,
    /// What the account is for.
    pub role: Role,
}

impl Change {
    /// Must a second administrator confirm it?
    pub fn takes_two(&self) -> bool {
        match self {
            Self::OpenAccount(NewAccount { role, .. }) | Self::ChangeRole { role, .. } => {
                gives_authority(*role)
            }
            Self::CreateKey { .. }
            | Self::ActAs { .. }
            | Self::LinkClient { .. }
            | Self::Invite { .. } => true,
        }
    }

    /// Whose account it changes, if there is one yet.
    pub fn account(&self) -> Option<OfficerId> {
        match self {
            Self::OpenAccount(_) => None,
            Self::ChangeRole { officer, .. }
            | Self::CreateKey { officer, .. }
            | Self::ActAs { officer, .. }
            | Self::LinkClient { officer, .. }
            | Self::Invite { officer, .. } => Some(*officer),
        }
    }

    /// The change with its texts in normal form.
    ///
    /// # Errors
    /// Every rule that is broken, by the field's name.
    pub fn parse(self) -> Result<Self, Vec<Violation>> {
        let mut broken = Vec::new();
        let parsed = match self {
            Self::OpenAccount(account) => Self::OpenAccount(NewAccount {
                name: line("name", &account.name, NAME_MAX, &mut broken),
                login: login(account.login, &mut broken),
                person: claim(&account.person, &mut broken),
                ..account
            }),
            Self::ChangeRole { .. } | Self::Invite { .. } => self,
            Self::CreateKey { officer, label } => {
                Self::CreateKey { officer, label: line("label", &label, LABEL_MAX, &mut broken) }
            }
            Self::ActAs { officer, user_id } => {
                let user_id = line("user_id", &user_id, LABEL_MAX, &mut broken);
                Self::ActAs { officer, user_id }
            }
            Self::LinkClient { officer, client } => {
                let client_id = verbatim("client_id", &client.client_id, &mut broken);
                let subject = verbatim("subject", &client.subject, &mut broken);
                Self::LinkClient { officer, client: Client { client_id, subject, ..client } }
            }
        };
        if broken.is_empty() { Ok(parsed) } else { Err(broken) }
    }
}

/// Roles with which somebody could send a false alert, or make somebody who could.
pub fn gives_authority(role: Role) -> bool {
    match role {
        Role::Approver | Role::Administrator => true,
        Role::Submitter | Role::Operator | Role::Auditor | Role::System => false,
    }
}

/// One line of text in normal form.
pub fn line(field: &'static str, raw: &str, max: usize, broken: &mut Vec<Violation>) -> String {
    let value = text::normalise(raw);
    let length = text::length(&value);
    if value.is_empty() {
        broken.push(Violation::missing(field));
    } else if length > max || value.contains('\n') {
        broken.push(Violation::new(
            field,
            "one_line",
            format!("Phải là một dòng, tối đa {max} ký tự; hiện có {length}."),
            format!("One line of at most {max} characters; this has {length}."),
        ));
    }
    value
}

/// What is compared byte by byte with what an issuer writes.
fn verbatim(field: &'static str, raw: &str, broken: &mut Vec<Violation>) -> String {
    let value = raw.trim();
    if !(1..=255).contains(&value.len()) || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        broken.push(Violation::new(
            field,
            "malformed",
            "Đúng như trong mã truy cập: 1 đến 255 ký tự ASCII, không có khoảng trắng.",
            "Exactly as in the access tokens: 1 to 255 ASCII characters without spaces.",
        ));
    }
    value.to_owned()
}

fn login(raw: String, broken: &mut Vec<Violation>) -> String {
    let lawful = (3..=60).contains(&raw.len())
        && raw.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b));
    if !lawful {
        broken.push(Violation::new(
            "login",
            "malformed",
            "Từ 3 đến 60 ký tự, chỉ gồm chữ thường không dấu a–z, chữ số, dấu chấm, gạch nối và gạch dưới.",
            "3 to 60 of a–z, digits, dot, hyphen and underscore.",
        ));
    }
    raw
}

/// Whom an account belongs to. `account:` is how the database marks one of which nobody has said it.
pub fn claim(raw: &str, broken: &mut Vec<Violation>) -> String {
    // Lower case and visible ASCII, so that one person is not two by another spelling.
    let value = line("person", raw, LABEL_MAX, broken).to_ascii_lowercase();
    if value.starts_with("account:") || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        broken.push(Violation::new(
            "person",
            "malformed",
            "Mã cán bộ hoặc định danh đăng nhập một lần: chữ không dấu, chữ số và dấu, không có khoảng trắng, không bắt đầu bằng “account:”.",
            "A staff number or the subject of single sign-on: ASCII without spaces, not beginning with \"account:\".",
        ));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(role: Role) -> NewAccount {
        NewAccount {
            agency: AgencyId::new(),
            name: "Lãnh đạo trực duyệt 03".into(),
            login: "skhcn.duyet03".into(),
            person: "CB-0003".into(),
            role,
        }
    }

    #[test]
    fn two_administrators_make_an_approver_an_administrator_or_a_key() {
        let officer = OfficerId::new();
        let taken: Vec<&str> = Role::ALL
            .into_iter()
            .filter(|role| {
                let opened = Change::OpenAccount(account(*role)).takes_two();
                assert_eq!(opened, Change::ChangeRole { officer, role: *role }.takes_two());
                opened
            })
            .map(Role::as_str)
            .collect();
        assert_eq!(taken, ["approver", "administrator"]);
        assert!(Change::CreateKey { officer, label: "máy".into() }.takes_two());
        assert!(Change::ActAs { officer, user_id: "snnmt".into() }.takes_two());
        assert!(Change::Invite { officer, first_hash: "00".into() }.takes_two());
        let client = Client {
            issuer: "https://sso.example.vn".into(),
            client_id: "snnmt".into(),
            subject: "snnmt".into(),
        };
        assert!(Change::LinkClient { officer, client }.takes_two());
    }

    #[test]
    fn whoever_may_decide_or_give_powers_is_made_by_two() {
        use super::super::account::Power;
        for role in Role::ALL {
            let strong = role.may(Power::Decide) || role.may(Power::ManageAccounts);
            assert_eq!(gives_authority(role), strong, "{role:?}");
        }
    }

    #[test]
    fn every_broken_rule_is_named_at_once() {
        let wrong = NewAccount {
            name: " \n".into(),
            login: "Duyệt 3".into(),
            person: "account:1".into(),
            ..account(Role::Approver)
        };
        let broken = Change::OpenAccount(wrong).parse().expect_err("three rules are broken");
        let fields: Vec<&str> = broken.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["name", "login", "person"]);
    }

    #[test]
    fn one_person_is_not_two_by_another_spelling() {
        let parsed = |raw: &str| {
            let mut broken = Vec::new();
            let value = claim(raw, &mut broken);
            broken.is_empty().then_some(value)
        };
        assert_eq!(parsed(" CB-0101 "), Some("cb-0101".into()));
        assert_eq!(parsed("cb-0101"), Some("cb-0101".into()));
        assert_eq!(
            parsed("CB-0101\u{200b}"),
            Some("cb-0101".into()),
            "what shows nothing is nothing"
        );
        for other in ["CB\u{2011}0101", "CB 0101", "СB-0101", "account:x", ""] {
            assert_eq!(parsed(other), None, "{other:?}");
        }
    }

    #[test]
    fn what_is_written_down_reads_back_and_names_its_kind() {
        let change = Change::OpenAccount(account(Role::Submitter)).parse().expect("lawful");
        let json = serde_json::to_value(&change).expect("strings and ids");
        assert_eq!((&json["kind"], &json["role"]), (&"open_account".into(), &"submitter".into()));
        assert_eq!(serde_json::from_value::<Change>(json).expect("ours"), change);
    }
}
