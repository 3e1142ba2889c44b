//! What is decided about, as the page shows it.

use crate::approval::decide::LEAST_LEFT;
use crate::approval::meets::{LanguageReach, Overlap, Reach, Traffic};
use crate::approval::review::ReviewSheet;
use crate::config::pacing::Pacing;
use crate::console::broadcast::headline;
use crate::console::difference::Difference;
use crate::console::forecast::{in_words, roads};
use crate::console::screens::{LanguageView, languages, platform};
use crate::console::templates::TemplateView;
use crate::delivery::forecast::forecast;
use crate::domain::account::{Power, Role};
use crate::domain::alert::Kind;
use crate::domain::broadcast::Lane;
use crate::domain::device::Provider;
use crate::domain::id::BroadcastId;
use crate::domain::lifecycle::AlertState;
use crate::domain::message::Purpose;
use crate::domain::seal::SealedAlert;
use crate::domain::wording::{self, Tongue};
use crate::publication::page::Band;

/// What the person at the screen can do.
#[derive(Debug)]
pub enum Standing {
    /// Decide.
    MayDecide {
        /// Approving takes their passkey.
        by_passkey: bool,
        /// It is sent only when somebody else approves it after them.
        takes_another: bool,
    },
    /// Nothing: it is their own work (invariant 2).
    OwnWork,
    /// Nothing more: they have approved it, and it takes another person.
    Endorsed,
    /// Only look.
    ReadOnly,
    /// Nothing: it is decided, or not submitted.
    Decided {
        /// Where it stands.
        state: &'static str,
        /// Its broadcast, once approved.
        broadcast: Option<String>,
    },
}

/// What is decided about, as the page shows it.
#[derive(Debug)]
pub struct Sheet {
    pub(super) id: String,
    pub(super) headline: String,
    pub(super) band: Band,
    pub(super) is_emergency: bool,
    /// Nothing of it is meant.
    pub(super) is_drill: bool,
    /// Nothing of it is sent: it is to be filled in later.
    pub(super) template: Option<TemplateView>,
    /// It was made of a template, whose page this is.
    pub(super) made_of: Option<String>,
    pub(super) classification: String,
    pub(super) languages: Vec<LanguageView>,
    pub(super) recall: Vec<LanguageView>,
    pub(super) all_clear: Vec<LanguageView>,
    /// A warning without an all-clear: an approver is told what that means.
    pub(super) lacks_all_clear: bool,
    /// What it takes the place of, if anything.
    pub(super) replaces: Option<Replaced>,
    /// What has come between, by the page of it.
    pub(super) overtaken_by: Option<String>,
    pub(super) source: String,
    pub(super) file: String,
    pub(super) media_type: String,
    pub(super) reach: String,
    pub(super) providers: Vec<(&'static str, String)>,
    /// Devices by language, the most frequent first.
    pub(super) speakers: Vec<(String, String)>,
    /// Other alerts about the same thing at the same time.
    pub(super) overlaps: Vec<Beside>,
    pub(super) forecast: String,
    /// What is being sent before it.
    pub(super) ahead: Option<String>,
    /// What the last probe of each provider found, and whether an approver has to know more.
    pub(super) roads: Vec<(String, bool)>,
    pub(super) agency: String,
    pub(super) author: String,
    /// Who else has written it: name, revision, when; the newest first.
    pub(super) touched: Vec<(String, u32, String)>,
    pub(super) difference: Option<Difference>,
    pub(super) revision: u32,
    pub(super) submitted: Option<String>,
    pub(super) effective: Option<String>,
    pub(super) send_at: Option<String>,
    /// When it begins, if not at once.
    pub(super) begins: Option<Beginning>,
    /// Why it would be held, when it would.
    pub(super) held: Option<&'static str>,
    pub(super) expires: String,
    pub(super) link: Option<String>,
    pub(super) digest: String,
    pub(super) digest_short: String,
    /// Who has approved it, and since when.
    pub(super) endorsers: Vec<(String, String)>,
    pub(super) approvers_needed: usize,
    pub(super) standing: Standing,
}

/// When and why later.
#[derive(Debug)]
pub struct Beginning {
    pub(super) at: String,
    pub(super) waits_for: &'static str,
    /// It would end before it could reach anybody: an approval is refused.
    pub(super) is_too_late: bool,
}

impl Beginning {
    fn of(sheet: &ReviewSheet, t: Tongue) -> Option<Self> {
        Some(Self {
            at: wording::moment(sheet.begins_at?),
            waits_for: wording::waits_for(sheet.waits_for?, t),
            is_too_late: sheet.begins_at? + LEAST_LEFT > sheet.sealed.expires,
        })
    }
}

/// The published alert whose place this one takes, beside it.
#[derive(Debug)]
pub struct Replaced {
    pub(super) id: String,
    pub(super) headline: String,
    pub(super) languages: Vec<LanguageView>,
    pub(super) expires: String,
    /// It is not corrected; its danger is over.
    pub(super) is_ended: bool,
}

/// Another alert about the same thing at the same time.
#[derive(Debug)]
pub struct Beside {
    pub(super) id: String,
    pub(super) headline: String,
    pub(super) agency: String,
    pub(super) state: &'static str,
    pub(super) since: String,
    pub(super) expires: String,
}

impl Beside {
    fn of(other: &Overlap, t: Tongue) -> Self {
        Self {
            id: other.id.to_string(),
            headline: other.headline.clone(),
            agency: other.agency.clone(),
            state: wording::state(other.state, t),
            since: other.since.map(wording::moment).unwrap_or_default(),
            expires: wording::moment(other.expires),
        }
    }
}

/// Four languages by name; more would not be read.
fn speakers(reach: &Reach, t: Tongue) -> Vec<(String, String)> {
    let all = |one: &LanguageReach| one.fcm + one.apns + one.webpush;
    let mut named: Vec<(String, String)> = reach
        .languages
        .iter()
        .take(4)
        .map(|one| (wording::language_name(&one.language).to_owned(), wording::number(all(one), t)))
        .collect();
    let rest: i64 = reach.languages.iter().skip(4).map(all).sum();
    if rest > 0 {
        named.push((t.pick("khác", "other").to_owned(), wording::number(rest, t)));
    }
    named
}

/// What is being sent first, when there is anything.
fn ahead(traffic: &[Traffic], t: Tongue) -> Option<String> {
    let devices: i64 = traffic.iter().map(|one| one.ahead).sum();
    let count = wording::number(devices, t);
    (devices > 0).then(|| match t {
        Tongue::Vi => format!("Đang phát dở {count} lượt gửi của tin khác, đi trước tin này."),
        Tongue::En => format!("{count} pushes of other alerts are under way and go first."),
    })
}

/// Does it warn of something that will be over one day?
fn threatens(sealed: &SealedAlert) -> bool {
    match (sealed.purpose, sealed.kind) {
        (Purpose::Alert | Purpose::Correction, Kind::Warning) => true,
        (Purpose::Alert | Purpose::Correction, Kind::Announcement)
        | (Purpose::Recall | Purpose::AllClear, _) => false,
    }
}

impl Sheet {
    pub(super) fn is_pdf(&self) -> bool {
        self.media_type == "application/pdf"
    }

    /// Does it wait for another approver?
    pub(super) fn takes_more(&self) -> bool {
        let waits = !matches!(self.standing, Standing::Decided { .. });
        waits && self.endorsers.len() < self.approvers_needed
    }

    /// Does approving take the passkey of whoever is looking?
    pub(super) fn seals_with_passkey(&self) -> bool {
        matches!(self.standing, Standing::MayDecide { by_passkey: true, .. })
    }

    /// What the page shows of `sheet` to somebody in this role.
    pub fn of(
        sheet: &ReviewSheet,
        role: Role,
        broadcast: Option<BroadcastId>,
        pacing: &Pacing,
        t: Tongue,
    ) -> Self {
        let sealed = &sheet.sealed;
        let devices = sheet.reach.by_provider();
        Self {
            id: sealed.id.to_string(),
            headline: headline(sealed, t),
            band: Band::of(sealed.kind, sealed.risk_level, sealed.severity, t),
            is_drill: !sealed.status.is_actual(),
            template: sealed.template.as_ref().map(|it| {
                let is_ready = sheet.state == AlertState::Ready;
                TemplateView { is_ready, ..TemplateView::of(&it.template, t) }
            }),
            made_of: sealed.filled.as_ref().map(|filled| filled.template.to_string()),
            is_emergency: match sealed.lane {
                Lane::Emergency => true,
                Lane::Personal | Lane::Bulk | Lane::Drill => false,
            },
            classification: [
                wording::kind(sealed.kind, t),
                wording::category(sealed.category, t),
                wording::severity(sealed.severity, t),
                wording::urgency(sealed.urgency, t),
                wording::certainty(sealed.certainty, t),
            ]
            .join(" · "),
            languages: languages(sheet.example.as_ref().unwrap_or(sealed)),
            recall: sheet.recall.as_ref().map(languages).unwrap_or_default(),
            all_clear: sheet.all_clear.as_ref().map(languages).unwrap_or_default(),
            lacks_all_clear: sheet.all_clear.is_none() && threatens(sealed),
            replaces: sheet.replaces.as_ref().map(|earlier| Replaced {
                id: earlier.id.to_string(),
                headline: headline(earlier, t),
                languages: languages(earlier),
                expires: wording::moment(earlier.expires),
                is_ended: sealed.purpose == Purpose::AllClear,
            }),
            overtaken_by: sheet
                .superseded_by
                .filter(|_| sheet.state == AlertState::Submitted)
                .map(|id| id.to_string()),
            source: format!(
                "{} {}, {}: {}",
                t.pick("Số", "No."),
                sealed.source.number,
                wording::written_day(&sealed.source.date),
                sealed.source.summary
            ),
            file: format!(
                "{}, {}",
                wording::file_kind(&sealed.document.media_type),
                wording::size(sealed.document.size, t)
            ),
            media_type: sealed.document.media_type.clone(),
            reach: wording::number(sheet.reach.total, t),
            providers: Provider::ALL
                .map(|provider| (platform(provider), wording::number(devices[provider.index()], t)))
                .to_vec(),
            speakers: speakers(&sheet.reach, t),
            overlaps: sheet.overlaps.iter().map(|other| Beside::of(other, t)).collect(),
            forecast: in_words(forecast(devices, roads(&sheet.traffic), pacing), t),
            ahead: ahead(&sheet.traffic, t),
            roads: sheet.roads.iter().map(|road| (road.said(t).to_owned(), road.standing.is_doubtful())).collect(),
            agency: sealed.agency.name.clone(),
            author: sheet.author_name.clone(),
            touched: Vec::new(),
            difference: None,
            revision: sealed.revision,
            submitted: sheet.submitted_at.map(wording::moment),
            effective: sealed.effective.map(wording::moment),
            send_at: sealed.send_at.map(wording::moment),
            begins: Beginning::of(sheet, t),
            held: sheet.is_held.then(|| {
                t.pick(
                    "Đang có cảnh báo khẩn: tin này sẽ được giữ lại đến khi cảnh báo đó kết thúc, lâu nhất vài giờ.",
                    "An emergency is live: this one is held until that is over, a few hours at most.",
                )
            }),
            expires: wording::moment(sealed.expires),
            link: sealed.link.clone(),
            digest_short: sheet.digest.chars().take(16).collect(),
            digest: sheet.digest.clone(),
            endorsers: sheet
                .endorsed_by
                .iter()
                .chain(&sheet.approved_by)
                .map(|by| (by.name.clone(), wording::moment(by.at)))
                .collect(),
            approvers_needed: sheet.approvers_needed,
            standing: Standing::of(sheet, role, broadcast, t),
        }
    }
}

impl Standing {
    fn of(sheet: &ReviewSheet, role: Role, broadcast: Option<BroadcastId>, t: Tongue) -> Self {
        match sheet.state {
            AlertState::Submitted if sheet.may_approve => Self::MayDecide {
                by_passkey: false,
                takes_another: sheet.endorsed_by.len() + 1 < sheet.approvers_needed,
            },
            AlertState::Submitted if sheet.is_endorsed_by_reader => Self::Endorsed,
            AlertState::Submitted if role.may(Power::Decide) => Self::OwnWork,
            AlertState::Submitted => Self::ReadOnly,
            AlertState::Draft
            | AlertState::Returned
            | AlertState::Rejected
            | AlertState::Scheduled
            | AlertState::Ready
            | AlertState::Cancelled
            | AlertState::Live
            | AlertState::Expired
            | AlertState::Superseded
            | AlertState::Recalled => Self::Decided {
                state: wording::state(sheet.state, t),
                broadcast: broadcast.map(|id| id.to_string()),
            },
        }
    }
}
