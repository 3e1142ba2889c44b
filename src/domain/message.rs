//! What one phone is told: cut for its platform before sealing, dressed by kind and severity.
//!
//! Platforms differ in what they can show; the words do not. Cutting happens here, before the seal, so that what was
//! approved is what is shown. How it looks and sounds follows kind and severity (`docs/providers.md`), not the lane.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::alert::{Kind, Severity, Status, Text};
use super::area::Commune;
use super::broadcast::Lane;
use super::device::{Language, Provider};
use super::id::IncidentId;
use super::{text, wording};

/// One title and body, cut for one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Screen {
    /// Never cut.
    pub title: String,
    /// Cut at a word within the platform's budget.
    pub body: String,
}

/// One language's text as each platform shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Screens {
    /// Android.
    pub fcm: Screen,
    /// iOS.
    pub apns: Screen,
    /// Browsers.
    pub webpush: Screen,
}

impl Screens {
    /// The screen of one platform.
    pub fn of(&self, provider: Provider) -> &Screen {
        match provider {
            Provider::Fcm => &self.fcm,
            Provider::Apns => &self.apns,
            Provider::WebPush => &self.webpush,
        }
    }
}

/// Why a message is sent; decides its marking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The alert itself.
    Alert,
    /// Its recall (CAP Cancel).
    Recall,
    /// Takes the place of an alert that was published (CAP Update).
    Correction,
    /// The danger is over (CAP Update, `AllClear`).
    AllClear,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 4] = [Self::Alert, Self::Recall, Self::Correction, Self::AllClear];

    /// The word the database and the API use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Recall => "recall",
            Self::Correction => "correction",
            Self::AllClear => "all_clear",
        }
    }

    /// The purpose of a stored word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == word)
    }

    /// What stands before the headline, in the language `tag`; nothing before an alert's own.
    pub fn mark(self, tag: &str) -> Option<&'static str> {
        let (vi, en) = match self {
            Self::Alert => return None,
            Self::Recall => ("THU HỒI", "RECALLED"),
            Self::Correction => ("ĐÍNH CHÍNH", "CORRECTED"),
            Self::AllClear => ("BÁO YÊN", "ALL CLEAR"),
        };
        Some(if tag == "en" { en } else { vi })
    }
}

/// Bytes of JSON string content a body may take. An emergency carries its whole text, to be read without a network;
/// what remains of a provider's 4,096 B (Web Push: 3,993 B) is title, link, live emergencies and frame.
fn body_budget(lane: Lane, provider: Provider) -> usize {
    match (lane, provider) {
        // A drill shows what an emergency would.
        (Lane::Emergency | Lane::Drill, Provider::Fcm | Provider::Apns) => 2400,
        (Lane::Emergency | Lane::Drill, Provider::WebPush) => 2200,
        // About what Android shows expanded.
        (Lane::Bulk | Lane::Personal, Provider::Fcm) => 900,
        (Lane::Bulk | Lane::Personal, Provider::Apns | Provider::WebPush) => 600,
    }
}

/// Renders every language for every platform. The instruction comes first: a lock screen shows about four lines; the communes last: the
/// headline says where, in the officer's words. What marks a drill is
/// set before what was cut already, in title and body, so that no cut removes it.
pub fn render(
    status: Status,
    purpose: Purpose,
    lane: Lane,
    texts: &BTreeMap<Language, Text>,
    communes: &[Commune],
) -> BTreeMap<Language, Screens> {
    texts
        .iter()
        .map(|(language, text)| {
            let before = |mark: Option<&str>, words: String| match mark {
                Some(mark) => format!("{mark}: {words}"),
                None => words,
            };
            let drill = status.mark(language.as_str());
            let title = before(purpose.mark(language.as_str()), text.headline.clone());
            let title = before(drill, title);
            let taken = before(drill, String::new()).len();
            let whole = match &text.instruction {
                Some(instruction) => format!("{instruction}\n{}", text.body),
                None => text.body.clone(),
            };
            let whole = match wording::concerned(communes, language.as_str()) {
                Some(places) => format!("{whole}\n{places}"),
                None => whole,
            };
            let screen = |provider| Screen {
                title: title.clone(),
                body: before(drill, text::cut(&whole, body_budget(lane, provider) - taken)),
            };
            let screens = Screens {
                fcm: screen(Provider::Fcm),
                apns: screen(Provider::Apns),
                webpush: screen(Provider::WebPush),
            };
            (language.clone(), screens)
        })
        .collect()
}

/// What the platforms use to let a later version take an earlier one's place: 32 characters, lawful as APNs
/// collapse id (≤ 64 B), Web Push topic (≤ 32, base64url) and FCM tag. One per incident, so two incidents never share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CollapseId(String);

impl CollapseId {
    /// First 32 characters of base64url(SHA-256(incident id)).
    pub fn of(incident: IncidentId) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, incident.to_string().as_bytes());
        let mut encoded = URL_SAFE_NO_PAD.encode(digest);
        encoded.truncate(32);
        Self(encoded)
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How loud: the mappings of `docs/providers.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    /// (a) Rings through silence.
    Emergency,
    /// (d) A warning that is not an emergency.
    Warning {
        /// From risk level 3 on, or severe: breaks through a focus mode.
        time_sensitive: bool,
    },
    /// (e) Takes an emergency's place without its alarm: an all-clear, or a correction to something less.
    Calm,
    /// (b) Ordinary information: silent.
    Announcement,
    /// (c) To one person, generic on the lock screen.
    Personal {
        /// The person must act now.
        action_needed: bool,
    },
}

impl Style {
    /// The style of an alert.
    pub fn of(kind: Kind, lane: Lane, severity: Severity, risk_level: Option<u8>) -> Self {
        match (lane, kind) {
            (Lane::Emergency, _) => Self::Emergency,
            (Lane::Personal, _) => Self::Personal { action_needed: false },
            (Lane::Bulk | Lane::Drill, Kind::Warning) => Self::Warning {
                time_sensitive: risk_level.is_some_and(|level| level >= 3)
                    || severity <= Severity::Severe,
            },
            (Lane::Bulk | Lane::Drill, Kind::Announcement) => Self::Announcement,
        }
    }
}

/// What one phone is told, in one language, cut for one platform. Provider modules turn it into their wire format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushMessage {
    /// The alert's id, or a notice's opaque one.
    pub id: Uuid,
    /// Higher within an incident replaces lower; the app ignores a repeated (id, version).
    pub version: u32,
    /// Lets a later version take this one's place on the screen.
    pub collapse: CollapseId,
    /// Groups what belongs together: the incident, or `news`, `feedback`.
    pub thread: String,
    /// How loud.
    pub style: Style,
    /// `emergency`, `warning`, `announcement`, `personal`, `recall`, `all_clear` or `drill`.
    pub kind: &'static str,
    /// The severity's word; empty for personal notices.
    pub severity: &'static str,
    /// Never cut.
    pub title: String,
    /// Cut for the platform.
    pub body: String,
    /// Where to read more.
    pub url: Option<String>,
    /// Nothing starts after this.
    pub expires: OffsetDateTime,
    /// Live emergencies (id, version), so that the app fetches what it lacks.
    pub live: Vec<(Uuid, u32)>,
    /// Earlier alerts (id, version) it takes the place of, the newest first, a few at most.
    pub replaces: Vec<(Uuid, u32)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(instruction: Option<&str>, body: &str) -> BTreeMap<Language, Text> {
        let text = Text {
            headline: "Cảnh báo lũ quét".into(),
            body: body.into(),
            instruction: instruction.map(Into::into),
        };
        BTreeMap::from([(Language::vietnamese(), text)])
    }

    #[test]
    fn what_to_do_comes_first() {
        let screens = render(
            Status::Actual,
            Purpose::Alert,
            Lane::Emergency,
            &text(Some("Lên cao ngay."), "Mưa to."),
            &[],
        );
        assert_eq!(screens[&Language::vietnamese()].apns.body, "Lên cao ngay.\nMưa to.");
    }

    #[test]
    fn the_communes_come_last_in_the_readers_language() {
        let communes = &super::super::area::COMMUNES[..2];
        let screens = render(
            Status::Actual,
            Purpose::Alert,
            Lane::Emergency,
            &text(None, "Mưa to."),
            communes,
        );
        let body = &screens[&Language::vietnamese()].fcm.body;
        assert_eq!(body, "Mưa to.\nXã, phường liên quan: Phường Thục Phán, Phường Nùng Trí Cao.");
    }

    #[test]
    fn a_recall_is_marked_by_the_renderer() {
        let screens =
            render(Status::Actual, Purpose::Recall, Lane::Emergency, &text(None, "Báo nhầm."), &[]);
        assert_eq!(screens[&Language::vietnamese()].fcm.title, "THU HỒI: Cảnh báo lũ quét");
    }

    #[test]
    fn a_correction_and_an_all_clear_say_so_before_anything_else() {
        let title = |purpose, tag: &str| {
            let language = Language::try_from(tag.to_owned()).unwrap();
            let texts = text(None, "Hết mưa.").into_values().map(|text| (language.clone(), text));
            render(Status::Actual, purpose, Lane::Emergency, &texts.collect(), &[])[&language]
                .apns
                .title
                .clone()
        };
        assert_eq!(title(Purpose::AllClear, "vi"), "BÁO YÊN: Cảnh báo lũ quét");
        assert_eq!(title(Purpose::Correction, "tyz"), "ĐÍNH CHÍNH: Cảnh báo lũ quét");
        assert_eq!(title(Purpose::AllClear, "en"), "ALL CLEAR: Cảnh báo lũ quét");
    }

    #[test]
    fn a_drill_says_so_in_title_and_body_on_every_platform_and_no_cut_removes_it() {
        let endless = "ệ ".repeat(4000);
        for (tag, mark) in [("vi", "DIỄN TẬP: "), ("en", "DRILL: "), ("tyz", "DIỄN TẬP: ")]
        {
            let language = Language::try_from(tag.to_owned()).unwrap();
            for (purpose, body) in [(Purpose::Alert, "Mưa."), (Purpose::Recall, endless.as_str())]
            {
                let texts = text(Some("Lên cao."), body).into_values();
                let texts = texts.map(|text| (language.clone(), text)).collect();
                let screens = render(Status::Exercise, purpose, Lane::Drill, &texts, &[]);
                for provider in Provider::ALL {
                    let screen = screens[&language].of(provider);
                    assert!(
                        screen.title.starts_with(mark) && screen.body.starts_with(mark),
                        "{screen:?}"
                    );
                    assert!(text::json_len(&screen.body) <= body_budget(Lane::Drill, provider));
                }
            }
        }
        let recalled =
            render(Status::Exercise, Purpose::Recall, Lane::Drill, &text(None, "Hết."), &[]);
        let screen = &recalled[&Language::vietnamese()].apns;
        assert_eq!(
            (screen.title.as_str(), screen.body.as_str()),
            ("DIỄN TẬP: THU HỒI: Cảnh báo lũ quét", "DIỄN TẬP: Hết.")
        );
    }

    #[test]
    fn the_longest_text_fits_every_platform() {
        let longest = "ệ ".repeat(1000);
        for lane in [Lane::Emergency, Lane::Bulk] {
            let screens =
                &render(Status::Actual, Purpose::Alert, lane, &text(Some(&longest), &longest), &[])
                    [&Language::vietnamese()];
            for provider in Provider::ALL {
                assert!(text::json_len(&screens.of(provider).body) <= body_budget(lane, provider));
            }
        }
    }

    #[test]
    fn the_collapse_id_is_lawful_everywhere() {
        let id = CollapseId::of(IncidentId::new());
        assert_eq!(id.as_str().len(), 32);
        assert!(id.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    }
}
