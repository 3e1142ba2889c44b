//! What an agency sends to create or revise an alert: nothing is believed yet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Follows, Template};

/// What a client sends to create or revise an alert. Everything is optional here so that **every** broken rule is
/// named in one answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlertRequest {
    /// `actual`, which it is when absent, or `exercise`: a drill, which reaches the drill group only.
    pub status: Option<String>,
    /// `warning` or `announcement`.
    #[schema(example = "warning")]
    pub kind: Option<String>,
    /// See [`super::Category`].
    #[schema(example = "natural_disaster")]
    pub category: Option<String>,
    /// Natural-disaster risk level 1–5 (QĐ 18/2021/QĐ-TTg), where one was declared.
    pub risk_level: Option<u8>,
    /// See [`super::Severity`].
    #[schema(example = "extreme")]
    pub severity: Option<String>,
    /// See [`super::Urgency`].
    #[schema(example = "immediate")]
    pub urgency: Option<String>,
    /// See [`super::Certainty`].
    #[schema(example = "likely")]
    pub certainty: Option<String>,
    /// Texts by language tag; `vi` must be among them.
    pub texts: BTreeMap<String, TextRequest>,
    /// Codes of the communes (*xã, phường*) it concerns, where it is not the same everywhere. Part of the text: every device is told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["01273"]))]
    pub communes: Vec<String>,
    /// Where to read more: an `https` address.
    pub link: Option<String>,
    /// When it begins to hold (RFC 3339); absent means at approval.
    pub effective: Option<String>,
    /// Not to be pushed or public before this (RFC 3339); absent means as soon as it is approved. Only for what is no emergency and takes no
    /// other alert's place. It begins up to 5 minutes later, off the quarters of an hour.
    // Left out when absent: what was sent before it was known must read the same to `Idempotency-Key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-11-21T08:05:00+07:00")]
    pub send_at: Option<String>,
    /// When it ends (RFC 3339).
    #[schema(example = "2026-11-21T20:00:00+07:00")]
    pub expires: Option<String>,
    /// The text behind it (*văn bản*).
    pub source: SourceRequest,
    /// What the submitter vouches for.
    pub attestations: Attestations,
    /// The recall prepared together with it; required.
    pub recall: Option<PreparedRequest>,
    /// The all-clear prepared together with it, so that one approver says at once that the danger is over. Advised for every warning
    /// whose end can be foreseen.
    pub all_clear: Option<PreparedRequest>,
    /// The published alert that this one takes the place of: for a correction, and for an all-clear that was not prepared.
    pub follows: Option<FollowsRequest>,
    /// Approved in advance, and filled in by one approver when there is no time for more: the texts then have `{place}`, `{time}` or `{level}`
    /// in them, and `expires` says until when it may be used, at most 366 days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
}

impl AlertRequest {
    /// As it is to be read where it does not say itself what it takes the place of.
    #[must_use]
    pub fn following(&self, follows: Option<Follows>) -> Self {
        let follows = follows.map(|follows| FollowsRequest {
            alert: follows.alert.to_string(),
            how: follows.how.purpose().as_str().to_owned(),
        });
        Self { follows: self.follows.clone().or(follows), ..self.clone() }
    }
}

/// One language's text, unparsed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TextRequest {
    /// What happens, where: at most 100 characters.
    pub headline: String,
    /// The rest: at most 2,000 characters.
    pub body: String,
    /// What people must do: at most 600 characters; required for a warning.
    pub instruction: Option<String>,
}

/// The source document's data, unparsed (QC-CB 12.3).
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SourceRequest {
    /// *Số, ký hiệu*.
    pub number: String,
    /// *Ngày*, `YYYY-MM-DD`.
    pub date: String,
    /// *Trích yếu*.
    pub summary: String,
}

/// What submitter and approver each vouch for (QC-CB 12.3, 1.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Attestations {
    /// It concerns the whole population of the province.
    pub whole_province: bool,
    /// It holds no state secret.
    pub no_state_secret: bool,
}

/// What is prepared together with an alert, unparsed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PreparedRequest {
    /// Texts by language tag; `vi` must be among them.
    pub texts: BTreeMap<String, TextRequest>,
}

/// Which published alert this one takes the place of, unparsed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FollowsRequest {
    /// Its id: the newest of its incident, of one's own agency (Sở KH&CN: of any).
    pub alert: String,
    /// `correction` or `all_clear`.
    #[serde(rename = "as")]
    #[schema(example = "correction")]
    pub how: String,
}
