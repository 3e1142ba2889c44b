//! What the page of a report shows, written for people.

use super::plots::{Bars, Columns, arrivals, by_lane, by_level, decisions, reach, share};
use super::{HERE, Request, Wrong, asked};
use crate::domain::account::Power;
use crate::domain::alert::{Category, Status};
use crate::domain::broadcast::Lane;
use crate::domain::id::AlertId;
use crate::domain::report::{Counts, Figure, PRESETS, Preset, Stat, Timed};
use crate::domain::wording::{self, Tongue};
use crate::report::{Report, Section, Table, lane_name, page};
use crate::store::report::{Line, Notices};

/// The form, as it was sent.
#[derive(Clone, Debug)]
pub struct Form {
    /// The first day.
    pub from: String,
    /// The last day.
    pub to: String,
    /// What is wrong with which field.
    pub wrong: Wrong,
    /// Agencies to choose from: code, name, chosen. None for who reads the own agency only.
    pub agencies: Vec<(String, String, bool)>,
    /// The own agency, for who reads that only.
    pub own: Option<String>,
    /// Categories to choose from.
    pub categories: Vec<(&'static str, &'static str, bool)>,
    /// Lanes to choose from.
    pub lanes: Vec<(&'static str, &'static str, bool)>,
    /// Spans by name: address, name, chosen.
    pub presets: Vec<(String, &'static str, bool)>,
    /// What follows the question mark in the address of the same report.
    pub query: String,
}

impl Form {
    /// The form as it was sent, and what is wrong with it.
    pub fn of(request: &Request, wrong: Wrong) -> Self {
        let Request { visit, asked, agencies, today } = request;
        let (t, officer) = (visit.t, visit.officer());
        let (from, to) = asked.days(*today);
        let is_all = officer.role.may(Power::ReadAllAlerts);
        let agencies = agencies
            .iter()
            .filter(|_| is_all)
            .map(|agency| (agency.code.clone(), agency.name.clone(), agency.code == asked.agency));
        let preset = |preset: Preset| {
            let (first, last) = preset.span(*today).query();
            let is_this = (&first, &last) == (&from, &to);
            (format!("{HERE}?{}", asked.query((&first, &last))), preset.name(t), is_this)
        };
        Self {
            query: asked.query((&from, &to)),
            agencies: agencies.collect(),
            own: (!is_all).then(|| officer.agency_name.clone()),
            categories: Category::ALL
                .iter()
                .map(|it| (it.as_str(), wording::category(*it, t), it.as_str() == asked.category))
                .collect(),
            lanes: asked::LANES
                .iter()
                .map(|it| (it.as_str(), lane_name(*it, t), it.as_str() == asked.lane))
                .collect(),
            presets: PRESETS.map(preset).to_vec(),
            from,
            to,
            wrong,
        }
    }
}

/// The report.
#[derive(Clone, Debug)]
pub struct View {
    /// *tháng 11/2026*
    pub name: String,
    /// From which day to which.
    pub span: String,
    /// The filters, in words.
    pub filters: Vec<String>,
    /// Did nothing at all happen?
    pub is_empty: bool,
    /// What was meant.
    pub real: SectionView,
    /// Plots over time.
    pub columns: Vec<Columns>,
    /// Plots of distributions.
    pub bars: Vec<Bars>,
    /// Drills, where there were any.
    pub drills: Option<SectionView>,
    /// The alerts behind it.
    pub lines: Vec<LineView>,
    /// Where the list goes on.
    pub next: Option<String>,
    /// Is this a later page of the list?
    pub is_later: bool,
    /// Each figure and what it means.
    pub meanings: Vec<(String, String)>,
}

/// Real alerts, or drills.
#[derive(Clone, Debug)]
pub struct SectionView {
    /// Few figures of all of it, each with what it means.
    pub cards: Vec<Card>,
    /// By agency, category and lane.
    pub tables: Vec<TableView>,
}

/// Figures that belong together.
#[derive(Clone, Debug)]
pub struct Card {
    /// What they are about.
    pub title: &'static str,
    /// Name, meaning, value.
    pub figures: Vec<(String, String, String)>,
    /// A remark.
    pub note: Option<String>,
}

/// A table of figures.
#[derive(Clone, Debug)]
pub struct TableView {
    /// What it shows.
    pub title: String,
    /// What its rows are.
    pub by: &'static str,
    /// Name and meaning over each column.
    pub heads: Vec<(String, String)>,
    /// The rows; the last is the sum.
    pub rows: Vec<(String, Vec<String>)>,
}

/// One alert of the list.
#[derive(Clone, Debug)]
pub struct LineView {
    /// Its page.
    pub href: String,
    /// Its headline, marked.
    pub headline: String,
    /// Who answers for it.
    pub agency: String,
    /// Its lane.
    pub lane: &'static str,
    /// Where it stands.
    pub state: &'static str,
    /// When it was sent.
    pub sent: String,
    /// How long the decision took.
    pub waited: String,
    /// How many accepted it, of how many.
    pub reached: String,
    /// How long it took to 99 of 100.
    pub nearly_all: String,
    /// How many showed it.
    pub shown: String,
}

/// The columns of the tables about arrival.
const ARRIVAL: [Figure; 13] = [
    Figure::Alerts,
    Figure::Corrections,
    Figure::AllClears,
    Figure::Recalls,
    Figure::Devices,
    Figure::Accepted,
    Figure::Gone,
    Figure::Refused,
    Figure::Failed,
    Figure::Time(Timed::Half, Stat::Median),
    Figure::Time(Timed::NearlyAll, Stat::Median),
    Figure::Time(Timed::Whole, Stat::Median),
    Figure::Shown,
];

/// What else became of devices: only where there were any.
const RARE: [Figure; 7] = [
    Figure::Refused,
    Figure::Failed,
    Figure::Unknown,
    Figure::Expired,
    Figure::Stopped,
    Figure::Withdrawn,
    Figure::Pending,
];

impl View {
    /// Writes it. `page`: the cursor of this page of the list and of the next.
    pub fn of(
        report: &Report,
        lines: &[Line],
        form: &Form,
        (before, next): (Option<AlertId>, Option<AlertId>),
        t: Tongue,
    ) -> Self {
        let (span, real) = (report.scope.span, &report.real);
        let mut meant = SectionView::of(report, real, t);
        meant.cards.extend(report.notices.map(|notices| notice_card(&notices, t)));
        let drills = (!report.drills.is_empty()).then(|| {
            let drills = SectionView::of(report, &report.drills, t);
            // Few enough for the two tables by agency.
            SectionView { tables: drills.tables.into_iter().take(2).collect(), ..drills }
        });
        Self {
            name: span.name(t),
            span: span.words(t),
            filters: report.filters(t),
            is_empty: real.is_empty() && report.drills.is_empty() && lines.is_empty(),
            columns: vec![by_lane(&report.begun, span, t), by_level(&report.begun, span, t)],
            bars: vec![
                decisions(&real.total.waits, t),
                arrivals(&real.total.nearly_all, t),
                reach(real, t),
            ],
            real: meant,
            drills,
            lines: lines.iter().map(|line| LineView::of(report, line, t)).collect(),
            next: next.map(|id| format!("{HERE}?{}&before={id}#tin", form.query)),
            is_later: before.is_some(),
            meanings: Figure::ALL.map(|it| (it.name(t), it.meaning(t))).to_vec(),
        }
    }
}

impl SectionView {
    fn of(report: &Report, section: &Section, t: Tongue) -> Self {
        let tables = report.tables(section, t);
        let tables = tables.iter().flat_map(|table| {
            let total = &section.total;
            [
                TableView::of(table, t.pick("xử lý", "handling"), &Figure::HANDLING, total, t),
                TableView::of(table, t.pick("phát và tới máy", "arrival"), &ARRIVAL, total, t),
            ]
        });
        Self { cards: cards(&section.total, t), tables: tables.collect() }
    }
}

impl TableView {
    fn of(table: &Table, about: &str, figures: &[Figure], total: &Counts, t: Tongue) -> Self {
        let row = |name: &str, counts: &Counts| {
            let cells = figures.iter().map(|figure| figure.of(counts).words(t));
            (name.to_owned(), cells.collect())
        };
        let mut rows: Vec<_> = table.rows.iter().map(|(name, counts)| row(name, counts)).collect();
        rows.push(row(t.pick("Tổng cộng", "Total"), total));
        Self {
            title: format!("{} {}: {about}", t.pick("Theo", "By"), table.by.to_lowercase()),
            by: table.by,
            heads: figures.iter().map(|figure| (figure.name(t), figure.meaning(t))).collect(),
            rows,
        }
    }
}

fn cards(total: &Counts, t: Tongue) -> Vec<Card> {
    let card = |title, figures: &[Figure]| Card {
        title,
        figures: figures
            .iter()
            .map(|it| (it.name(t), it.meaning(t), it.of(total).words(t)))
            .collect(),
        note: None,
    };
    let sent = [Figure::Alerts, Figure::Corrections, Figure::AllClears, Figure::Recalls];
    let mut devices = vec![Figure::Devices, Figure::Accepted, Figure::Gone];
    devices.extend(RARE.iter().filter(|it| it.of(total) != crate::domain::report::Value::Count(0)));
    let times = [Timed::Half, Timed::NearlyAll, Timed::Whole];
    let times: Vec<Figure> = times
        .iter()
        .flat_map(|timed| [Stat::Median, Stat::Longest].map(|stat| Figure::Time(*timed, stat)))
        .collect();
    let reach = &total.reach;
    let accepted = (reach.audience() > 0).then(|| {
        let part = share(reach.accepted, reach.audience(), t);
        format!("{part} {}", t.pick("số lượt thiết bị đã được nhận", "of devices were accepted"))
    });
    let estimate = if total.shown.reports == 0 {
        t.pick("Chưa có máy nào báo về.", "No phone has said so yet.")
    } else {
        t.pick(
            "Là ước tính từ một mẫu nhỏ, không phải số đếm.",
            "An estimate from a small sample, not a count.",
        )
    };
    let shown = [Figure::Shown, Figure::ShownOf, Figure::ShownReports];
    vec![
        card(t.pick("Xử lý", "Handling"), &Figure::HANDLING),
        card(t.pick("Đã phát", "Sent"), &sent),
        Card { note: accepted, ..card(t.pick("Thiết bị", "Devices"), &devices) },
        card(t.pick("Thời gian tới máy", "Time to devices"), &times),
        Card {
            note: Some(estimate.to_owned()),
            ..card(t.pick("Đã hiện trên máy", "Shown on phones"), &shown)
        },
    ]
}

fn notice_card(notices: &Notices, t: Tongue) -> Card {
    let figures = page::notice_figures(notices, t);
    let figure =
        |(name, value): (&str, i64)| (name.to_owned(), String::new(), wording::number(value, t));
    Card {
        title: t.pick("Thông báo cá nhân", "Personal notices"),
        figures: figures.into_iter().map(figure).collect(),
        note: None,
    }
}

impl LineView {
    fn of(report: &Report, line: &Line, t: Tongue) -> Self {
        let value = |figure: Figure| figure.of(&line.counts).words(t);
        let longest = |timed| value(Figure::Time(timed, Stat::Longest));
        let reach = &line.counts.reach;
        Self {
            href: format!("/console/alerts/{}/follow", line.id),
            headline: marked(line, t),
            agency: report.agency(line.agency).to_owned(),
            lane: lane_name(line.lane, t),
            state: wording::state(line.state, t),
            sent: line.published_at.map_or_else(|| "–".to_owned(), wording::moment),
            waited: longest(Timed::Decision),
            reached: match reach.audience() {
                0 => "–".to_owned(),
                all => {
                    format!("{} / {}", wording::number(reach.accepted, t), wording::number(all, t))
                }
            },
            nearly_all: longest(Timed::NearlyAll),
            shown: value(Figure::Shown),
        }
    }
}

/// A headline that says when it is a drill, and what it is where it is not simply an alert.
fn marked(line: &Line, t: Tongue) -> String {
    let drill = match line.lane {
        Lane::Drill => Status::Exercise.mark(t.tag()),
        Lane::Emergency | Lane::Personal | Lane::Bulk => None,
    };
    let marks = drill.into_iter().chain(line.purpose.mark(t.tag()));
    marks.map(|mark| format!("{mark}: ")).chain([line.headline.clone()]).collect()
}
