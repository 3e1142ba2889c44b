//! The content of an alert, as an agency writes it: parsed once from a request, valid ever after.
//!
//! What the province's regulation asks of it stands beside each rule (`QC-CB` 12–13), in `rules`. What phones are shown is derived in
//! [`super::message`]; what is signed, in [`super::seal`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::area::{self, Commune};
use super::broadcast::Lane;
use super::device::Language;
use super::violation::Violation;

/// Words that call a drill real, or what is real a drill.
mod claims;

/// What a correction or an all-clear refers to.
mod follows;

/// What an agency sends, before it is parsed.
mod request;

/// The rules, each with its name and the way out.
mod rules;

/// What is approved in advance and filled in later.
pub mod template;

/// An alert as it stands in a form.
mod typed;

/// The closed lists: kinds, categories, CAP's three scales.
mod words;

pub use follows::{FollowUp, Follows};
pub use request::{
    AlertRequest, Attestations, FollowsRequest, PreparedRequest, SourceRequest, TextRequest,
};
pub use rules::{BODY_MAX, HEADLINE_MAX, INSTRUCTION_MAX, LONGEST_LIFE, SHORTEST_LIFE};
pub use template::{Filled, Filling, Template};
pub use typed::Typed;
pub use words::{Category, Certainty, Kind, Severity, Status, Urgency};

use claims::check_claims;
use rules::{
    AtOnce, check_attestations, check_risk_level, check_template, parse_all_clear, parse_expires,
    parse_instant, parse_link, parse_recall, parse_send_at, parse_source, parse_texts, word,
};
use template::LONGEST_USE;

/// One language's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Text {
    /// What happens, where.
    pub headline: String,
    /// The rest.
    pub body: String,
    /// What people must do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
}

/// The source document's data (*số, ký hiệu; ngày; trích yếu*).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// *Số, ký hiệu*.
    pub number: String,
    /// *Ngày*, `YYYY-MM-DD`.
    pub date: String,
    /// *Trích yếu*.
    pub summary: String,
}

/// The content of an alert. A value of this type obeys every rule of this module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertContent {
    /// Meant, or a drill. Left out where it is meant: revisions without it are those of releases before it.
    #[serde(default, skip_serializing_if = "Status::is_actual")]
    pub status: Status,
    /// Warning or announcement.
    pub kind: Kind,
    /// What it is about.
    pub category: Category,
    /// Natural-disaster risk level 1–5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk_level: Option<u8>,
    /// How bad.
    pub severity: Severity,
    /// How soon.
    pub urgency: Urgency,
    /// How sure.
    pub certainty: Certainty,
    /// By language, Vietnamese always among them.
    #[schema(value_type = BTreeMap<String, Text>)]
    pub texts: BTreeMap<Language, Text>,
    /// The communes it concerns; none means that it says so itself. Left out where there are none, as before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub communes: Vec<Commune>,
    /// Where to read more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// When it begins to hold; absent means at approval.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub effective: Option<OffsetDateTime>,
    /// Not to be pushed or public before this; absent means as soon as it is approved.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub send_at: Option<OffsetDateTime>,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
    /// The text behind it.
    pub source: Source,
    /// What the submitter vouched for.
    pub attestations: Attestations,
    /// The prepared recall's texts. Required of every request; what was written before that rule may lack them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, Text>>)]
    pub recall: Option<BTreeMap<Language, Text>>,
    /// The prepared all-clear's texts, where the agency gave some.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, Text>>)]
    pub all_clear: Option<BTreeMap<Language, Text>>,
    /// The published alert it takes the place of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<Follows>,
    /// It is a template, to be filled in later; it ends when it may not be used any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// It is a template that was filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filled: Option<Filled>,
}

impl AlertContent {
    /// The only way in. `now` decides what is in the future. Answers every broken rule at once.
    pub fn parse(raw: &AlertRequest, now: OffsetDateTime) -> Result<Self, Vec<Violation>> {
        let mut broken = Vec::new();
        let status = match raw.status.as_deref() {
            None => Some(Status::Actual),
            given => word("status", given, Status::ALL, Status::as_str, &mut broken),
        };
        let kind = word("kind", raw.kind.as_deref(), Kind::ALL, Kind::as_str, &mut broken);
        let category =
            word("category", raw.category.as_deref(), Category::ALL, Category::as_str, &mut broken);
        let severity =
            word("severity", raw.severity.as_deref(), Severity::ALL, Severity::as_str, &mut broken);
        let urgency =
            word("urgency", raw.urgency.as_deref(), Urgency::ALL, Urgency::as_str, &mut broken);
        let certainty = word(
            "certainty",
            raw.certainty.as_deref(),
            Certainty::ALL,
            Certainty::as_str,
            &mut broken,
        );
        check_risk_level(raw.risk_level, &mut broken);
        let is_warning = kind == Some(Kind::Warning);
        let texts = parse_texts("texts", &raw.texts, is_warning, &mut broken);
        let communes = area::parse(&raw.communes, &mut broken);
        let link = raw.link.as_deref().and_then(|link| parse_link(link, &mut broken));
        let effective =
            raw.effective.as_deref().and_then(|at| parse_instant("effective", at, &mut broken));
        let template = raw.template.as_ref().and_then(|template| template.parse(&mut broken));
        let longest = if raw.template.is_some() { LONGEST_USE } else { LONGEST_LIFE };
        let expires =
            parse_expires(raw.expires.as_deref(), effective, now + longest, now, &mut broken);
        let is_emergency = match (kind, severity, urgency) {
            (Some(kind), Some(severity), Some(urgency)) => {
                lane_of(kind, severity, urgency) == Lane::Emergency
            }
            _ => false,
        };
        // A drill of one rings at its time, so that those who drill can be ready.
        let goes_at_once =
            (is_emergency && status == Some(Status::Actual)).then_some(AtOnce::Emergency);
        let goes_at_once = goes_at_once.or(raw.follows.is_some().then_some(AtOnce::FollowUp));
        let send_at = raw.send_at.as_deref();
        let send_at =
            send_at.and_then(|at| parse_send_at(at, goes_at_once, expires, now, &mut broken));
        let source = parse_source(&raw.source, now, &mut broken);
        check_attestations(raw.attestations, &mut broken);
        let recall = parse_recall(raw.recall.as_ref(), &mut broken);
        let follows = raw.follows.as_ref().and_then(|raw| Follows::parse(raw, &mut broken));
        let ends = follows.is_some_and(|follows| follows.how == FollowUp::AllClear);
        let all_clear = raw.all_clear.as_ref();
        let all_clear = all_clear.and_then(|texts| {
            parse_all_clear(texts, kind == Some(Kind::Announcement) || ends, &mut broken)
        });
        let told = [Some(("texts", &texts)), recall.as_ref().map(|texts| ("recall.texts", texts))];
        let told =
            told.into_iter().chain([all_clear.as_ref().map(|texts| ("all_clear.texts", texts))]);
        let told: Vec<_> = told.flatten().collect();
        check_claims(status, (kind, follows), told.iter().copied(), &mut broken);
        if let Some(template) = &template {
            check_template(raw, template, (status, kind), &told, &mut broken);
        }
        match (status, kind, category, severity, urgency, certainty, expires) {
            (
                Some(status),
                Some(kind),
                Some(category),
                Some(severity),
                Some(urgency),
                Some(certainty),
                Some(expires),
            ) if broken.is_empty() => Ok(Self {
                status,
                kind,
                category,
                risk_level: raw.risk_level,
                severity,
                urgency,
                certainty,
                texts,
                communes,
                link,
                effective,
                send_at,
                expires,
                source,
                attestations: raw.attestations,
                recall,
                all_clear,
                follows,
                template,
                filled: None,
            }),
            _ => Err(broken),
        }
    }

    /// Which lane these words ask for by themselves; what takes an emergency's place takes its lane.
    pub fn lane(&self) -> Lane {
        match self.status {
            Status::Actual => lane_of(self.kind, self.severity, self.urgency),
            Status::Exercise => Lane::Drill,
        }
    }

    /// The Vietnamese text, which every alert has.
    pub fn vietnamese(&self) -> Option<&Text> {
        self.texts.get(&Language::vietnamese())
    }
}

/// Which lane an alert takes: danger to life, now or soon, goes before everything.
pub fn lane_of(kind: Kind, severity: Severity, urgency: Urgency) -> Lane {
    let soon = match urgency {
        Urgency::Immediate | Urgency::Expected => true,
        Urgency::Future => false,
    };
    let grave = match severity {
        Severity::Extreme | Severity::Severe => true,
        Severity::Moderate | Severity::Minor => false,
    };
    match kind {
        Kind::Warning if soon && grave => Lane::Emergency,
        Kind::Warning | Kind::Announcement => Lane::Bulk,
    }
}

#[cfg(test)]
mod tests;
