//! To what something happened: a case and its person, or a service.

use time::OffsetDateTime;

use super::{Reader, filled, one_of};
use crate::domain::device::Language;
use crate::domain::feedback::{Audience, CaseKind, CaseRef, EventKind, Person, What};
use crate::domain::violation::Violation;

/// Longest name of a service, user-perceived characters.
const SERVICE_MAX: usize = 200;
/// Longest e-mail address (RFC 5321 §4.5.3.1), bytes.
const EMAIL_MAX: usize = 254;
/// The most events a case can have: each one's place is kept with the case.
const SEQUENCE_MAX: u32 = 10_000;

impl Reader<'_> {
    pub(super) fn of_case(&mut self, kind: EventKind) -> Option<What> {
        let case = self.case(kind);
        let person = self.person();
        let step = self.step(kind);
        Some(What::OfCase { case: case?, person: person?, step: step? })
    }

    fn case(&mut self, event: EventKind) -> Option<CaseRef> {
        let Some(case) = self.request.case.take() else {
            return self.breaks(Violation::missing("case"));
        };
        let id = self.word("case.id", |_| case.id);
        let kind = match filled(case.kind) {
            None => self.breaks(Violation::missing("case.kind")),
            Some(word) => match CaseKind::from_word(&word) {
                None => self.breaks(one_of("case.kind", &CaseKind::ALL.map(CaseKind::as_str))),
                Some(kind) if !event.may_happen_to(kind) => self.breaks(Violation::new(
                    "kind",
                    "not_for_this_case",
                    format!(
                        "Sự kiện {} không có ở loại vụ việc {}.",
                        event.as_str(),
                        kind.as_str()
                    ),
                    format!(
                        "{} does not happen to a case of kind {}.",
                        event.as_str(),
                        kind.as_str()
                    ),
                )),
                Some(kind) => Some(kind),
            },
        };
        let sequence = match case.sequence {
            None => self.breaks(Violation::missing("case.sequence")),
            Some(place) if (1..=SEQUENCE_MAX).contains(&place) => Some(place),
            Some(_) => self.breaks(Violation::new(
                "case.sequence",
                "out_of_range",
                format!("Từ 1 đến {SEQUENCE_MAX}: thứ tự của sự kiện trong vụ việc."),
                format!("From 1 to {SEQUENCE_MAX}: the event's place in the case."),
            )),
        };
        let (is_urgent, is_public) = (case.urgent, case.public);
        Some(CaseRef { id: id?, kind: kind?, sequence: sequence?, is_urgent, is_public })
    }

    fn person(&mut self) -> Option<Person> {
        let Some(person) = self.request.person.take() else {
            return self.breaks(Violation::missing("person"));
        };
        let subject = self.word("person.subject", |_| person.subject);
        let language = match filled(person.language) {
            None => None,
            Some(tag) => Language::of_locale(&tag).or_else(|| {
                self.breaks(Violation::new(
                    "person.language",
                    "not_a_language",
                    "Phải là mã ngôn ngữ như vi hoặc en.",
                    "Must be a language tag such as vi or en.",
                ))
            }),
        };
        let email = filled(person.email).and_then(|email| {
            let is_address = is_email(&email);
            is_address.then_some(email).or_else(|| {
                self.breaks(Violation::new(
                    "person.email",
                    "not_an_address",
                    "Không phải một địa chỉ thư điện tử.",
                    "This is no e-mail address.",
                ))
            })
        });
        let phone = filled(person.phone).and_then(|phone| {
            mobile(&phone).or_else(|| {
                self.breaks(Violation::new(
                    "person.phone",
                    "not_a_number",
                    "Phải là số điện thoại Việt Nam: +84 hoặc 0, rồi 9 chữ số.",
                    "Must be a Vietnamese number: +84 or 0, then 9 digits.",
                ))
            })
        });
        Some(Person { subject: subject?, language, email, phone })
    }

    pub(super) fn of_service(
        &mut self,
        kind: EventKind,
        at: Option<OffsetDateTime>,
    ) -> Option<What> {
        let service = self.bounded("service", SERVICE_MAX, |r| r.service.take());
        let audience = match filled(self.request.audience.take()).as_deref() {
            Some("everyone") => Some(Audience::Everyone),
            Some("agencies") => Some(Audience::Agencies),
            Some(_) => self.breaks(one_of("audience", &["everyone", "agencies"])),
            None => self.breaks(Violation::missing("audience")),
        };
        if kind == EventKind::Incident {
            let instruction = self.text("instruction", |r| r.instruction.take());
            let (service, audience) = (service?, audience?);
            return Some(What::Incident { service, instruction: instruction?, audience });
        }
        let from = self.moment("from", |r| r.from.take());
        let until = self.moment("until", |r| r.until.take());
        let (from, until) = (from?, until?);
        if until <= from {
            return self.breaks(Violation::new(
                "until",
                "before_from",
                "Phải sau thời điểm bắt đầu (from).",
                "Must be after from.",
            ));
        }
        if at.is_some_and(|at| from <= at) {
            return self.breaks(Violation::new(
                "from",
                "not_ahead",
                "Kế hoạch phải bắt đầu sau thời điểm báo (at); việc đang xảy ra là incident.",
                "What is planned begins after it is told (at); what is happening is an incident.",
            ));
        }
        Some(What::Maintenance { service: service?, from, until, audience: audience? })
    }
}

/// One `@`, something before it, a host with a dot behind it, nothing that could end a header.
fn is_email(raw: &str) -> bool {
    let Some((before, host)) = raw.rsplit_once('@') else { return false };
    let is_plain = |c: char| {
        c.is_ascii_graphic() && !matches!(c, '<' | '>' | '(' | ')' | ',' | ';' | '"' | '\\')
    };
    raw.len() <= EMAIL_MAX
        && !before.is_empty()
        && !before.contains('@')
        && raw.chars().all(is_plain)
        && host.contains('.')
        && host.split('.').all(|label| !label.is_empty())
}

/// A Vietnamese number as +84 and nine digits.
fn mobile(raw: &str) -> Option<String> {
    let digits: String = raw.chars().filter(|c| !matches!(c, ' ' | '.' | '-')).collect();
    let rest = digits.strip_prefix("+84").or_else(|| digits.strip_prefix('0'))?;
    let is_number =
        rest.len() == 9 && rest.bytes().all(|byte| byte.is_ascii_digit()) && !rest.starts_with('0');
    is_number.then(|| format!("+84{rest}"))
}
