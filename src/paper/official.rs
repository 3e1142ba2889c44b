//! The heading and the signatures of an official paper, where Vietnamese offices expect them (NĐ 30/2020/NĐ-CP, Phụ lục I).

use super::{Look, MARGIN, Paper, WIDTH};

/// The country's name and its motto.
const COUNTRY: &str = "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM";
const MOTTO: &str = "Độc lập - Tự do - Hạnh phúc";
/// The office has the narrower half.
const OFFICE_WIDTH: f32 = 215.0;
const GAP: f32 = 12.0;
/// Where people sign.
const SIGNATURE_HEIGHT: f32 = 64.0;

/// Who writes, and when.
#[derive(Clone, Debug)]
pub struct Heading {
    /// The body above the office, where it is known.
    pub superior: Option<String>,
    /// The office.
    pub office: String,
    /// *Số: …*
    pub number: String,
    /// *Cao Bằng, ngày 01 tháng 12 năm 2026*
    pub place_and_date: String,
}

impl Paper {
    /// The heading: the office at the left, the country and its motto at the right.
    pub fn heading(&mut self, heading: &Heading) {
        let (left, right) = (MARGIN, MARGIN + OFFICE_WIDTH + GAP);
        let rest = WIDTH - MARGIN - right;
        let top = self.y;
        if let Some(superior) = &heading.superior {
            self.centred(&superior.to_uppercase(), Look::Plain, left, OFFICE_WIDTH);
        }
        self.centred(&heading.office.to_uppercase(), Look::Strong, left, OFFICE_WIDTH);
        self.underline(left, OFFICE_WIDTH, 70.0);
        self.centred(&heading.number, Look::Plain, left, OFFICE_WIDTH);
        let left_end = self.y;
        self.y = top;
        self.centred(COUNTRY, Look::Strong, right, rest);
        self.centred(MOTTO, Look::Strong, right, rest);
        self.underline(right, rest, 140.0);
        self.centred(&heading.place_and_date, Look::Plain, right, rest);
        self.y = self.y.min(left_end) - 18.0;
    }

    /// The title in the middle, and beneath it what it is about.
    pub fn headline(&mut self, title: &str, about: &[String]) {
        self.centred(title, Look::Title, MARGIN, WIDTH - 2.0 * MARGIN);
        for line in about {
            self.centred(line, Look::Strong, MARGIN, WIDTH - 2.0 * MARGIN);
        }
        self.underline(MARGIN, WIDTH - 2.0 * MARGIN, 90.0);
        self.gap(6.0);
    }

    /// Who signs, with the room to do it; all of it on one page.
    pub fn signatures(&mut self, left: &str, right: &str, hint: &str) {
        self.gap(16.0);
        self.room(SIGNATURE_HEIGHT + 3.0 * Look::Strong.leading());
        let half = (WIDTH - 2.0 * MARGIN) / 2.0;
        let top = self.y;
        for (words, x) in [(left, MARGIN), (right, MARGIN + half)] {
            self.y = top;
            self.centred(words, Look::Strong, x, half);
            self.centred(hint, Look::Fine, x, half);
        }
        self.y -= SIGNATURE_HEIGHT;
    }

    /// Words in the middle of a column.
    fn centred(&mut self, words: &str, look: Look, x: f32, width: f32) {
        let words = self.legible(words);
        for line in self.wrap(&words, look, width) {
            self.room(look.leading());
            let wide = self.faces[look.face()].width(&line) * look.size();
            let y = self.y;
            self.set(&line, look, x + (width - wide) / 2.0, y);
            self.y -= look.leading();
        }
    }

    /// A short line beneath what was just written.
    fn underline(&mut self, x: f32, width: f32, length: f32) {
        let (y, page) = (self.y - 1.0, self.pages.len() - 1);
        self.pages[page]
            .set_fill_gray(0.0)
            .rect(x + (width - length) / 2.0, y, length, 0.7)
            .fill_nonzero();
        self.y -= 7.0;
    }
}
