//! A workbook: numbers as numbers, moments as moments, in the province's time; heads that stay, columns as wide as their words.

use rust_xlsxwriter::{
    DocProperties, ExcelDateTime, Format, FormatAlign, FormatBorder, Workbook, Worksheet, XlsxError,
};
use time::OffsetDateTime;

use super::{Report, Section, columns};
use crate::domain::report::{Counts, Figure, Value};
use crate::domain::wording::{self, PROVINCE, Tongue};
use crate::store::report::Line;

/// How wide columns are, in characters.
const NAME: f64 = 44.0;
const HEADLINE: f64 = 60.0;
const NUMBER: f64 = 15.0;
const MOMENT: f64 = 17.0;

/// How cells look.
struct Looks {
    title: Format,
    head: Format,
    words: Format,
    count: Format,
    seconds: Format,
    moment: Format,
    meaning: Format,
}

impl Looks {
    fn new() -> Self {
        let head = Format::new().set_bold().set_text_wrap().set_border_bottom(FormatBorder::Thin);
        Self {
            title: Format::new().set_bold().set_font_size(14),
            head: head.set_align(FormatAlign::VerticalCenter),
            words: Format::new(),
            count: Format::new().set_num_format("#,##0"),
            seconds: Format::new().set_num_format("#,##0.0"),
            moment: Format::new().set_num_format("dd/mm/yyyy hh:mm"),
            meaning: Format::new().set_text_wrap().set_align(FormatAlign::Top),
        }
    }
}

/// The report and the alerts behind it: the sum, each grouping, the alerts, drills, and what the figures mean.
///
/// # Errors
/// When the workbook cannot be put together, which is a defect.
pub fn workbook(report: &Report, lines: &[Line], t: Tongue) -> Result<Vec<u8>, XlsxError> {
    let looks = Looks::new();
    let mut book = Workbook::new();
    book.set_properties(&properties(report, t)?);
    summary(book.add_worksheet(), report, &looks, t)?;
    for table in report.tables(&report.real, t) {
        let sheet = book.add_worksheet();
        sheet.set_name(table.by)?;
        let rows = table.rows.iter().map(|(name, counts)| (name.as_str(), counts));
        grouped(sheet, table.by, rows, &looks, t)?;
    }
    alerts(book.add_worksheet(), report, lines, &looks, t)?;
    drills(book.add_worksheet(), report, &looks, t)?;
    meanings(book.add_worksheet(), &looks, t)?;
    book.save_to_buffer()
}

fn properties(report: &Report, t: Tongue) -> Result<DocProperties, XlsxError> {
    let title = format!("{} {}", t.pick("Báo cáo", "Report:"), report.scope.span.name(t));
    // When it was made, not when somebody's computer says so.
    let made = ExcelDateTime::from_timestamp(report.at.unix_timestamp())?;
    Ok(DocProperties::new()
        .set_title(title)
        .set_company(&report.office.name)
        .set_creation_datetime(&made))
}

fn summary(
    sheet: &mut Worksheet,
    report: &Report,
    looks: &Looks,
    t: Tongue,
) -> Result<(), XlsxError> {
    sheet.set_name(t.pick("Tổng hợp", "Summary"))?;
    sheet.set_column_width(0, NAME)?;
    sheet.set_column_width(1, NUMBER)?;
    sheet.set_column_width(2, NUMBER)?;
    let title = t.pick("Báo cáo phát cảnh báo, thông tin", "Report on alerts");
    sheet.write_string_with_format(0, 0, title, &looks.title)?;
    let mut about = vec![report.scope.span.words(t), report.office.name.clone()];
    about.extend(report.filters(t));
    let made = format!("{} {}", t.pick("Lập lúc", "Made at"), wording::moment(report.at));
    about.push(made);
    let mut row = 1;
    for line in about {
        sheet.write_string(row, 0, line)?;
        row += 1;
    }
    row += 1;
    let head = [t.pick("Số liệu", "Figure"), t.pick("Thật", "Real"), t.pick("Diễn tập", "Drills")];
    for (column, words) in (0..).zip(head) {
        sheet.write_string_with_format(row, column, words, &looks.head)?;
    }
    sheet.set_freeze_panes(row + 1, 1)?;
    for figure in Figure::ALL {
        row += 1;
        sheet.write_string(row, 0, columns::title(figure, t))?;
        write(sheet, row, 1, figure.of(&report.real.total), looks)?;
        write(sheet, row, 2, figure.of(&report.drills.total), looks)?;
    }
    if let Some(notices) = report.notices {
        row += 1;
        for (name, value) in super::page::notice_figures(&notices, t) {
            row += 1;
            sheet.write_string(row, 0, name)?;
            write(sheet, row, 1, Value::Count(value), looks)?;
        }
    }
    Ok(())
}

fn grouped<'a>(
    sheet: &mut Worksheet,
    by: &str,
    rows: impl Iterator<Item = (&'a str, &'a Counts)>,
    looks: &Looks,
    t: Tongue,
) -> Result<(), XlsxError> {
    head(sheet, [(by.to_owned(), NAME)].into_iter().chain(figures(t)), looks)?;
    for (row, (name, counts)) in (1..).zip(rows) {
        sheet.write_string(row, 0, name)?;
        for (column, figure) in (1..).zip(Figure::ALL) {
            write(sheet, row, column, figure.of(counts), looks)?;
        }
    }
    Ok(())
}

fn figures(t: Tongue) -> impl Iterator<Item = (String, f64)> {
    Figure::ALL.into_iter().map(move |figure| (columns::title(figure, t), NUMBER))
}

/// Drills by agency, below their sum: apart from what was meant.
fn drills(
    sheet: &mut Worksheet,
    report: &Report,
    looks: &Looks,
    t: Tongue,
) -> Result<(), XlsxError> {
    sheet.set_name(t.pick("Diễn tập", "Drills"))?;
    let section: &Section = &report.drills;
    let [agencies, ..] = report.tables(section, t);
    let total = (t.pick("Tổng cộng", "Total"), &section.total);
    let rows = agencies.rows.iter().map(|(name, counts)| (name.as_str(), counts));
    grouped(sheet, agencies.by, [total].into_iter().chain(rows), looks, t)
}

fn alerts(
    sheet: &mut Worksheet,
    report: &Report,
    lines: &[Line],
    looks: &Looks,
    t: Tongue,
) -> Result<(), XlsxError> {
    sheet.set_name(t.pick("Tin", "Alerts"))?;
    let lead = columns::LINE_HEAD.into_iter().zip(LEAD_WIDTHS);
    let lead = lead.map(|((vi, en), width)| (t.pick(vi, en).to_owned(), width));
    let titles = columns::LINE_FIGURES.map(|figure| (columns::line_title(figure, t), NUMBER));
    head(sheet, lead.chain(titles), looks)?;
    for (row, line) in (1..).zip(lines) {
        let mut column = 0;
        for words in columns::lead(report, line, t) {
            match (column, line.risk_level) {
                (6, Some(level)) => sheet.write_number(row, column, f64::from(level))?,
                _ => sheet.write_string_with_format(row, column, words, &looks.words)?,
            };
            column += 1;
        }
        for at in columns::moments(line) {
            if let Some(at) = at {
                sheet.write_datetime_with_format(row, column, moment(at)?, &looks.moment)?;
            }
            column += 1;
        }
        for figure in columns::LINE_FIGURES {
            write(sheet, row, column, figure.of(&line.counts), looks)?;
            column += 1;
        }
    }
    Ok(())
}

/// Of the columns before an alert's figures.
const LEAD_WIDTHS: [f64; 11] =
    [37.0, HEADLINE, NUMBER, NAME, NUMBER, NUMBER, 9.0, NUMBER, MOMENT, MOMENT, MOMENT];

fn meanings(sheet: &mut Worksheet, looks: &Looks, t: Tongue) -> Result<(), XlsxError> {
    sheet.set_name(t.pick("Giải thích", "Meaning"))?;
    let titles = [(t.pick("Số liệu", "Figure"), NAME), (t.pick("Nghĩa là", "Means"), 110.0)];
    head(sheet, titles.map(|(words, width)| (words.to_owned(), width)).into_iter(), looks)?;
    for (row, figure) in (1..).zip(Figure::ALL) {
        sheet.write_string_with_format(row, 0, columns::title(figure, t), &looks.meaning)?;
        sheet.write_string_with_format(row, 1, figure.meaning(t), &looks.meaning)?;
    }
    Ok(())
}

/// The first row, which stays in sight, as does the first column.
fn head(
    sheet: &mut Worksheet,
    titles: impl Iterator<Item = (String, f64)>,
    looks: &Looks,
) -> Result<(), XlsxError> {
    for (column, (title, width)) in (0..).zip(titles) {
        sheet.set_column_width(column, width)?;
        sheet.write_string_with_format(0, column, title, &looks.head)?;
    }
    sheet.set_row_height(0, 48)?;
    sheet.set_freeze_panes(1, 1)?;
    Ok(())
}

/// A figure as a number; nothing where there is none.
#[expect(clippy::cast_precision_loss, reason = "numbers of devices, far below 2^52")]
fn write(
    sheet: &mut Worksheet,
    row: u32,
    column: u16,
    value: Value,
    looks: &Looks,
) -> Result<(), XlsxError> {
    match value {
        Value::Count(count) | Value::About(count) => {
            sheet.write_number_with_format(row, column, count as f64, &looks.count)?;
        }
        Value::Seconds(seconds) => {
            sheet.write_number_with_format(row, column, seconds, &looks.seconds)?;
        }
        Value::None => {}
    }
    Ok(())
}

/// A moment by the province's clock: a cell knows no time zone.
fn moment(at: OffsetDateTime) -> Result<ExcelDateTime, XlsxError> {
    let at = at.to_offset(PROVINCE);
    let year = u16::try_from(at.year()).unwrap_or(1900);
    ExcelDateTime::from_ymd(year, u8::from(at.month()), at.day())?.and_hms(
        u16::from(at.hour()),
        at.minute(),
        f64::from(at.second()),
    )
}
