//! What was approved in advance, and what it becomes when somebody fills it in: reckoned alike by `serve`, which seals it, and by every
//! dispatcher, which believes it only then.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{Identity, SealError, SealedAlert, page, prepared, sealed};
use crate::domain::alert::{AlertContent, Attestations, Filled, Template, Text};
use crate::domain::device::Language;
use crate::domain::message::Purpose;

/// The template, and what is prepared with it, with the same blanks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SealedTemplate {
    /// Its name, its blanks, its life.
    pub template: Template,
    /// Texts of the recall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, Text>>)]
    pub recall: Option<BTreeMap<Language, Text>>,
    /// Texts of the all-clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, Text>>)]
    pub all_clear: Option<BTreeMap<Language, Text>>,
}

impl SealedTemplate {
    /// Of what an agency wrote, if that is one.
    pub(super) fn of(content: &AlertContent) -> Option<Self> {
        content.template.clone().map(|template| Self {
            template,
            recall: content.recall.clone(),
            all_clear: content.all_clear.clone(),
        })
    }
}

impl SealedAlert {
    /// Base of the public pages that its own address stands below.
    pub fn public_url(&self) -> &str {
        self.url.strip_suffix(&page("", self.id)).unwrap_or_default()
    }

    /// The content a template was sealed of.
    fn content(&self, template: &SealedTemplate) -> AlertContent {
        AlertContent {
            status: self.status,
            kind: self.kind,
            category: self.category,
            risk_level: self.risk_level,
            severity: self.severity,
            urgency: self.urgency,
            certainty: self.certainty,
            communes: self.communes.clone(),
            texts: self.texts.clone(),
            link: self.link.clone(),
            effective: self.effective,
            send_at: self.send_at,
            expires: self.expires,
            source: self.source.clone(),
            // No part of what is sealed.
            attestations: Attestations::default(),
            recall: template.recall.clone(),
            all_clear: template.all_clear.clone(),
            follows: None,
            template: Some(template.template.clone()),
            filled: None,
        }
    }
}

/// Is `claimed` what this template becomes, in every word and in everything that decides who gets it, when and how loudly? And if `ends` is
/// its recall or its all-clear: is that the template's, too?
///
/// # Errors
/// [`SealError::NotOfTemplate`] with the reason.
pub fn check_filling(
    template: &SealedAlert,
    template_digest: &str,
    claimed: &SealedAlert,
    ends: Option<&SealedAlert>,
) -> Result<(), SealError> {
    let not = |why: &str| SealError::NotOfTemplate(why.to_owned());
    let filled = claimed.filled.as_ref().ok_or_else(|| not("nothing was filled in"))?;
    if (filled.template, filled.digest.as_str()) != (template.id, template_digest) {
        return Err(not("it was made of another template"));
    }
    let becomes = becomes(template, filled)?;
    let identity = Identity {
        id: claimed.id,
        incident: claimed.incident,
        version: 1,
        revision: 1,
        agency: template.agency.clone(),
        public_url: template.public_url().to_owned(),
        replaces: None,
    };
    let mut expected = sealed(&identity, &becomes, &template.document);
    let prepares = |digest: &Option<String>, texts: &Option<_>| digest.is_some() == texts.is_some();
    if !prepares(&claimed.recall_digest, &becomes.recall)
        || !prepares(&claimed.all_clear_digest, &becomes.all_clear)
    {
        return Err(not("something else was prepared with it"));
    }
    expected.recall_digest.clone_from(&claimed.recall_digest);
    expected.all_clear_digest.clone_from(&claimed.all_clear_digest);
    if expected != *claimed {
        return Err(not("its words or its settings differ"));
    }
    let Some(ends) = ends else { return Ok(()) };
    let texts = match ends.purpose {
        Purpose::Recall => becomes.recall,
        Purpose::AllClear => becomes.all_clear,
        Purpose::Alert | Purpose::Correction => None,
    };
    let texts = texts.ok_or_else(|| not("nothing of the kind was prepared with it"))?;
    let place = (ends.purpose, ends.id, ends.version);
    // It was written before its original could name it.
    let original = SealedAlert { recall_digest: None, all_clear_digest: None, ..claimed.clone() };
    if prepared(&original, place, &texts, template.public_url()) != *ends {
        return Err(not("what was prepared with it has other words"));
    }
    Ok(())
}

/// What a template becomes, with what is prepared with it.
#[derive(Clone, Debug)]
pub struct Becomes {
    /// The warning.
    pub alert: SealedAlert,
    /// Its recall.
    pub recall: Option<SealedAlert>,
    /// Its all-clear.
    pub all_clear: Option<SealedAlert>,
}

/// What a template becomes when it is filled in at its longest: for whoever decides about it. Nothing is ever sealed of this.
pub fn example(template: &SealedAlert, now: OffsetDateTime) -> Option<Becomes> {
    let of = template.template.as_ref()?;
    let filling = of.template.example(now);
    let filled = Filled { template: template.id, digest: String::new(), filling, at: now };
    let becomes = becomes(template, &filled).ok()?;
    let identity = Identity {
        id: template.id,
        incident: template.incident,
        version: 1,
        revision: 1,
        agency: template.agency.clone(),
        public_url: template.public_url().to_owned(),
        replaces: None,
    };
    let alert = sealed(&identity, &becomes, &template.document);
    let ends =
        |purpose, texts: &_| prepared(&alert, (purpose, alert.id, 2), texts, &identity.public_url);
    let recall = becomes.recall.as_ref().map(|texts| ends(Purpose::Recall, texts));
    let all_clear = becomes.all_clear.as_ref().map(|texts| ends(Purpose::AllClear, texts));
    Some(Becomes { alert, recall, all_clear })
}

fn becomes(template: &SealedAlert, filled: &Filled) -> Result<AlertContent, SealError> {
    let of = template.template.as_ref();
    let of = of.ok_or_else(|| SealError::NotOfTemplate("what it names is no template".into()))?;
    template.content(of).fill(filled.clone()).map_err(|broken| {
        let why: Vec<String> = broken.iter().map(ToString::to_string).collect();
        SealError::NotOfTemplate(why.join("; "))
    })
}
