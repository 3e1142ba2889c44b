//! A file of values between commas (RFC 4180), in UTF-8 with the mark by which Excel knows it.
//!
//! A cell that a spreadsheet would take for a formula begins with an apostrophe: headlines and names are other people's words. Lengths of time
//! are whole seconds, because a decimal point means something else in half of the world's spreadsheets.

use super::{Report, Section, columns};
use crate::domain::report::{Counts, Figure, Value};
use crate::domain::wording::{self, Tongue};
use crate::store::report::Line;

/// What tells Excel that a file is UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The figures of all, and by agency, category and lane; drills after what was meant.
pub fn figures(report: &Report, t: Tongue) -> Vec<u8> {
    let mut file = File::new();
    let head = [
        t.pick("Phần", "Part"),
        t.pick("Từ ngày", "From"),
        t.pick("Đến hết ngày", "To the end of"),
        t.pick("Nhóm", "Grouped by"),
        t.pick("Tên", "Name"),
    ];
    file.line(
        head.map(str::to_owned).into_iter().chain(Figure::ALL.map(|it| columns::title(it, t))),
    );
    let (from, to) = report.scope.span.query();
    for (part, section) in
        [(t.pick("Thật", "Real"), &report.real), (t.pick("Diễn tập", "Drills"), &report.drills)]
    {
        for (by, name, counts) in rows(report, section, t) {
            let lead = [part, &from, &to, &by, &name].map(str::to_owned);
            file.line(lead.into_iter().chain(Figure::ALL.map(|it| plain(it.of(&counts)))));
        }
    }
    file.bytes()
}

fn rows(report: &Report, section: &Section, t: Tongue) -> Vec<(String, String, Counts)> {
    let all = t.pick("Tổng cộng", "Total").to_owned();
    let mut rows = vec![(all.clone(), all, section.total.clone())];
    for table in report.tables(section, t) {
        rows.extend(table.rows.into_iter().map(|(name, it)| (table.by.to_owned(), name, it)));
    }
    rows
}

/// The alerts behind the figures.
pub fn alerts(report: &Report, lines: &[Line], t: Tongue) -> Vec<u8> {
    let mut file = File::new();
    let head = columns::LINE_HEAD.map(|(vi, en)| t.pick(vi, en).to_owned());
    file.line(head.into_iter().chain(columns::LINE_FIGURES.map(|it| columns::line_title(it, t))));
    for line in lines {
        let moments = columns::moments(line).map(|at| at.map(wording::moment).unwrap_or_default());
        let figures = columns::LINE_FIGURES.map(|it| plain(it.of(&line.counts)));
        file.line(columns::lead(report, line, t).into_iter().chain(moments).chain(figures));
    }
    file.bytes()
}

fn plain(value: Value) -> String {
    match value {
        Value::Count(count) | Value::About(count) => count.to_string(),
        Value::Seconds(seconds) => format!("{seconds:.0}"),
        Value::None => String::new(),
    }
}

/// The lines so far.
struct File(String);

impl File {
    fn new() -> Self {
        Self(BYTE_ORDER_MARK.to_owned())
    }

    fn line(&mut self, cells: impl IntoIterator<Item = String>) {
        for (index, cell) in cells.into_iter().enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            self.0 += &escaped(&cell);
        }
        self.0 += "\r\n";
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

/// A cell as the file holds it: never a formula, and quoted where it has to be.
fn escaped(cell: &str) -> String {
    let is_formula = cell
        .trim_start_matches([' ', '\u{a0}', '"'])
        .starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let cell = if is_formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains(['"', ',', '\r', '\n', ';', '\t']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_never_a_formula() {
        for (cell, escaped_as) in [
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            ("+84 1", "'+84 1"),
            ("-1+1", "'-1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "\"'\t=1\""),
            ("  =1", "'  =1"),
            ("＝1", "'＝1"),
            ("Mưa, lũ \"lớn\"", "\"Mưa, lũ \"\"lớn\"\"\""),
            ("hai\nhàng", "\"hai\nhàng\""),
            ("a=1", "a=1"),
            ("", ""),
        ] {
            assert_eq!(escaped(cell), escaped_as, "{cell:?}");
        }
    }

    #[test]
    fn every_line_ends_as_the_rule_says_and_the_file_is_marked() {
        let mut file = File::new();
        file.line(["a".to_owned(), "b".to_owned()]);
        assert_eq!(file.bytes(), b"\xef\xbb\xbfa,b\r\n");
    }
}
