//! Tables that go on over pages, with their head on each.

use super::{Look, MARGIN, Paper, WIDTH};

/// Between the edge of a cell and its words.
const PAD: f32 = 3.0;

/// One column.
#[derive(Clone, Debug)]
pub struct Column {
    /// What stands in its head.
    pub title: String,
    /// How wide it is, as parts of the whole.
    pub parts: f32,
    /// Numbers stand at the right, words at the left.
    pub is_number: bool,
}

impl Column {
    /// Words, so wide.
    pub fn words(title: impl Into<String>, parts: f32) -> Self {
        Self { title: title.into(), parts, is_number: false }
    }

    /// Numbers, so wide.
    pub fn number(title: impl Into<String>, parts: f32) -> Self {
        Self { title: title.into(), parts, is_number: true }
    }
}

/// A row of a table, its words broken into lines.
struct Row {
    cells: Vec<Vec<String>>,
    look: Look,
}

impl Paper {
    /// A table over the whole width. The last row stands out where it is a sum.
    pub fn table(&mut self, columns: &[Column], rows: &[Vec<String>], ends_in_sum: bool) {
        let whole: f32 = columns.iter().map(|column| column.parts).sum();
        let widths: Vec<f32> =
            columns.iter().map(|column| column.parts / whole * (WIDTH - 2.0 * MARGIN)).collect();
        let titles: Vec<String> = columns.iter().map(|column| column.title.clone()).collect();
        let head = self.broken(&titles, &widths, Look::CellHead);
        let last = rows.len().saturating_sub(1);
        for (index, row) in rows.iter().enumerate() {
            let is_sum = ends_in_sum && index == last;
            let row = self.broken(row, &widths, if is_sum { Look::CellHead } else { Look::Cell });
            let needed = row.height() + if index == 0 { head.height() } else { 0.0 };
            let page = self.pages.len();
            self.room(needed);
            if index == 0 || self.pages.len() != page {
                self.draw(&head, columns, &widths);
            }
            self.draw(&row, columns, &widths);
        }
        self.gap(6.0);
    }

    fn broken(&self, cells: &[String], widths: &[f32], look: Look) -> Row {
        let cells = cells
            .iter()
            .zip(widths)
            .map(|(words, width)| self.wrap(&self.legible(words), look, width - 2.0 * PAD))
            .collect();
        Row { cells, look }
    }

    fn draw(&mut self, row: &Row, columns: &[Column], widths: &[f32]) {
        let (top, mut x) = (self.y - PAD, MARGIN);
        for ((lines, column), width) in row.cells.iter().zip(columns).zip(widths) {
            let mut y = top;
            for line in lines {
                let wide = self.faces[row.look.face()].width(line) * row.look.size();
                let from = if column.is_number { width - PAD - wide } else { PAD };
                self.set(line, row.look, x + from, y);
                y -= row.look.leading();
            }
            x += width;
        }
        self.y -= row.height();
        self.rule(self.pages.len() - 1, self.y);
    }
}

impl Row {
    fn height(&self) -> f32 {
        let lines = self.cells.iter().map(Vec::len).max().unwrap_or(1);
        let lines = (0..lines).fold(0.0, |height, _| height + self.look.leading());
        lines + 2.0 * PAD
    }
}
