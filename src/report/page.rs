//! A report on paper, with the heading of an office: in Vietnamese, because that is what it is signed in.

use super::{Report, Section, lane_name};
use crate::domain::report::{Counts, Figure, Stat, Timed};
use crate::domain::wording::{self, PROVINCE, Tongue, moment};
use crate::paper::{Column, Heading, Look, Paper};
use crate::store::report::{Line, Notices};

/// So many alerts are listed on paper; the workbook has all.
pub const LINES_ON_PAPER: usize = 200;

const VI: Tongue = Tongue::Vi;

/// How it arrived.
const ARRIVAL: [Figure; 8] = [
    Figure::Alerts,
    Figure::Recalls,
    Figure::Devices,
    Figure::Accepted,
    Figure::Gone,
    Figure::Time(Timed::Half, Stat::Median),
    Figure::Time(Timed::NearlyAll, Stat::Median),
    Figure::Shown,
];

/// Sets it. The same report always gives the same bytes. `lines` are the newest alerts behind it.
pub fn set(report: &Report, lines: &[Line]) -> Vec<u8> {
    let mut paper = Paper::new();
    paper.heading(&heading(report));
    let span = report.scope.span;
    let mut about = vec!["Kết quả phát cảnh báo, thông tin tới người dân".to_owned()];
    about.push(if span.name(VI) == span.words(VI) {
        format!("({})", span.words(VI))
    } else {
        format!("{} ({})", capital(&span.name(VI)), span.words(VI))
    });
    about.extend(report.filters(VI));
    paper.headline("BÁO CÁO", &about);
    paper.part("1. Tổng hợp", 6);
    whole(&mut paper, report);
    for (number, table) in (2..).zip(report.tables(&report.real, VI)) {
        paper.part(&format!("{number}. Theo {}", table.by.to_lowercase()), 6);
        if table.rows.is_empty() {
            paper.say("Không có.", Look::Plain);
            continue;
        }
        for figures in [Figure::HANDLING.as_slice(), &ARRIVAL] {
            table_of(&mut paper, table.by, &table.rows, &report.real.total, figures);
        }
    }
    paper.part("5. Danh sách tin", 6);
    listed(&mut paper, report, lines);
    paper.part("6. Diễn tập (không tính vào các số liệu trên)", 4);
    drills(&mut paper, report, &report.drills);
    paper.part("7. Cách tính", 6);
    explained(&mut paper);
    paper.signatures("NGƯỜI LẬP BÁO CÁO", "THỦ TRƯỞNG CƠ QUAN", "(Ký, ghi rõ họ tên)");
    let foot = format!("Báo cáo {} · lập lúc {}", span.name(VI), moment(report.at));
    let head = format!("{}: báo cáo {}", report.office.name, span.name(VI));
    paper.finish(&format!("Báo cáo {}", span.name(VI)), &head, &foot)
}

fn heading(report: &Report) -> Heading {
    let mut names = std::iter::once(&report.office.name)
        .chain(report.agencies.first().map(|focal| &focal.name));
    let province = names.find_map(|name| province(name));
    let office = match province {
        Some((_, whole)) => report.office.name.strip_suffix(whole).unwrap_or(&report.office.name),
        None => &report.office.name,
    };
    let at = report.at.to_offset(PROVINCE);
    let place = province.map_or("……………", |(place, _)| place);
    Heading {
        superior: province.map(|(_, whole)| format!("Ủy ban nhân dân {}", whole.trim())),
        office: office.trim().to_owned(),
        number: format!("Số: ……/BC-{}", report.office.code),
        place_and_date: format!(
            "{place}, ngày {:02} tháng {:02} năm {}",
            at.day(),
            u8::from(at.month()),
            at.year()
        ),
    }
}

/// The province or city that an office's name ends with: its name, and the words that say so.
fn province(office: &str) -> Option<(&str, &str)> {
    [" tỉnh ", " thành phố "].into_iter().find_map(|kind| {
        let at = office.rfind(kind)?;
        let place = office[at + kind.len()..].trim();
        // "…, tìm kiếm cứu nạn tỉnh" names no place, and a place has few words.
        (!place.is_empty() && place.split(' ').count() <= 4 && !place.contains(','))
            .then_some((place, &office[at..]))
    })
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What each figure means; of a length of time once, and then of the three that are given of each.
fn explained(paper: &mut Paper) {
    for figure in Figure::ALL {
        match figure {
            Figure::Time(_, Stat::Ninetieth | Stat::Longest) => {}
            Figure::Time(timed, Stat::Median) => {
                paper.line(timed.name(VI), timed.meaning(VI), Look::Plain);
            }
            _ => paper.line(&figure.name(VI), &figure.meaning(VI), Look::Plain),
        }
    }
    for stat in Stat::ALL {
        paper.line(&capital(stat.name(VI)), stat.meaning(VI), Look::Plain);
    }
}

/// Every figure of all, in two columns.
fn whole(paper: &mut Paper, report: &Report) {
    let total = &report.real.total;
    let notices = report.notices.iter().flat_map(|notices| notice_figures(notices, VI));
    let cells: Vec<(String, String)> = Figure::ALL
        .iter()
        .map(|it| (it.name(VI), it.of(total).words(VI)))
        .chain(notices.map(|(name, value)| (name.to_owned(), wording::number(value, VI))))
        .collect();
    let half = cells.len().div_ceil(2);
    let nothing = (String::new(), String::new());
    let rows: Vec<Vec<String>> = (0..half)
        .map(|at| {
            let (left, right) = (&cells[at], cells.get(at + half).unwrap_or(&nothing));
            let ((left, of_left), (right, of_right)) = (left, right);
            [left, of_left, "", right, of_right].map(str::to_owned).to_vec()
        })
        .collect();
    let columns = [
        Column::words("Số liệu", 3.0),
        Column::number("", 1.6),
        Column::words("", 0.3),
        Column::words("Số liệu", 3.0),
        Column::number("", 1.6),
    ];
    paper.table(&columns, &rows, false);
}

fn table_of(
    paper: &mut Paper,
    by: &str,
    rows: &[(String, Counts)],
    total: &Counts,
    figures: &[Figure],
) {
    let columns: Vec<Column> = std::iter::once(Column::words(by, 2.6))
        .chain(figures.iter().map(|figure| Column::number(figure.name(VI), 1.25)))
        .collect();
    let all = ("Tổng cộng".to_owned(), total.clone());
    let rows: Vec<Vec<String>> = rows
        .iter()
        .chain(std::iter::once(&all))
        .map(|(name, counts)| {
            std::iter::once(name.clone())
                .chain(figures.iter().map(|figure| figure.of(counts).words(VI)))
                .collect()
        })
        .collect();
    paper.table(&columns, &rows, true);
}

fn listed(paper: &mut Paper, report: &Report, lines: &[Line]) {
    if lines.is_empty() {
        paper.say("Không có tin nào.", Look::Plain);
        return;
    }
    let columns = [
        Column::words("Phát lúc", 1.5),
        Column::words("Tin", 4.0),
        Column::words("Cơ quan", 2.4),
        Column::words("Luồng", 1.2),
        Column::words("Trạng thái", 1.3),
        Column::number("Đã nhận", 1.3),
    ];
    let rows: Vec<Vec<String>> = lines
        .iter()
        .take(LINES_ON_PAPER)
        .map(|line| {
            let headline = match line.purpose.mark(VI.tag()) {
                Some(mark) => format!("{mark}: {}", line.headline),
                None => line.headline.clone(),
            };
            vec![
                line.published_at.map_or_else(|| "chưa phát".to_owned(), moment),
                headline,
                report.agency(line.agency).to_owned(),
                lane_name(line.lane, VI).to_owned(),
                wording::state(line.state, VI).to_owned(),
                wording::number(line.counts.reach.accepted, VI),
            ]
        })
        .collect();
    paper.table(&columns, &rows, false);
    if lines.len() > LINES_ON_PAPER {
        let words = format!(
            "Chỉ in {LINES_ON_PAPER} tin mới nhất; toàn bộ có trong tệp XLSX và CSV của báo cáo này."
        );
        paper.say(&words, Look::Fine);
    }
}

fn drills(paper: &mut Paper, report: &Report, section: &Section) {
    if section.is_empty() {
        paper.say("Không có diễn tập nào trong kỳ.", Look::Plain);
        return;
    }
    let [agencies, ..] = report.tables(section, VI);
    for figures in [Figure::HANDLING.as_slice(), &ARRIVAL] {
        table_of(paper, agencies.by, &agencies.rows, &section.total, figures);
    }
}

/// What is counted of personal notices.
pub fn notice_figures(notices: &Notices, t: Tongue) -> [(&'static str, i64); 3] {
    [
        (t.pick("Thông báo cá nhân phải gửi", "Personal notices to be sent"), notices.notices),
        (
            t.pick("Thông báo cá nhân đã tới ít nhất một máy", "Notices that reached any phone"),
            notices.taken,
        ),
        (t.pick("Số lượt máy nhận thông báo cá nhân", "Phones they reached"), notices.devices),
    ]
}
