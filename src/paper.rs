//! Paper: words set in lines and pages, as a PDF (ISO 32000-1) that looks the same everywhere and years from now.
//!
//! The font is inside (Be Vietnam Pro, cut down to Latin with every Vietnamese letter); each glyph says which letter it is, so that words can
//! be searched and copied. Nothing of the clock or of chance is in the file: the same words give the same bytes.

use std::fmt::Write as _;

use pdf_writer::{Content, Finish as _, Pdf, Rect, Ref, Str, TextStr};
use typeface::{FACES, Typeface};

/// The heading and the signatures of an official paper.
mod official;

/// Tables that go on over pages.
mod table;

/// The font, and how it goes into the file.
mod typeface;

pub use official::Heading;
pub use table::Column;

/// A4, in points.
const WIDTH: f32 = 595.0;
const HEIGHT: f32 = 842.0;
const MARGIN: f32 = 56.0;
const BOTTOM: f32 = 64.0;
/// Where values begin beside their labels.
const COLUMN: f32 = 138.0;

/// How words look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The title of the whole.
    Title,
    /// The title of a part.
    Heading,
    /// Words.
    Plain,
    /// Words that stand out.
    Strong,
    /// What few people read: digests, signatures.
    Fine,
    /// A cell of a table.
    Cell,
    /// The head of a column, or a row that stands out.
    CellHead,
}

impl Look {
    fn size(self) -> f32 {
        match self {
            Self::Title => 17.0,
            Self::Heading => 12.0,
            Self::Plain | Self::Strong => 9.5,
            Self::Fine => 7.5,
            Self::Cell | Self::CellHead => 8.0,
        }
    }

    fn leading(self) -> f32 {
        self.size() * 1.42
    }

    fn gray(self) -> f32 {
        match self {
            Self::Title
            | Self::Heading
            | Self::Plain
            | Self::Strong
            | Self::Cell
            | Self::CellHead => 0.0,
            Self::Fine => 0.32,
        }
    }

    fn face(self) -> usize {
        match self {
            Self::Plain | Self::Fine | Self::Cell => 0,
            Self::Title | Self::Heading | Self::Strong | Self::CellHead => 1,
        }
    }
}

/// A document being set, from top to bottom.
pub struct Paper {
    faces: [Typeface; 2],
    pages: Vec<Content>,
    /// Where the next line's top is.
    y: f32,
}

impl Default for Paper {
    fn default() -> Self {
        Self::new()
    }
}

impl Paper {
    /// An empty first page.
    pub fn new() -> Self {
        let faces = FACES.map(|(bytes, ..)| Typeface::of(bytes));
        Self { faces, pages: vec![Content::new()], y: HEIGHT - MARGIN }
    }

    /// Words over the whole width.
    pub fn say(&mut self, words: &str, look: Look) {
        self.column(words, look, MARGIN);
    }

    /// The title of a part, and beneath it, on the same page, so many lines of it.
    pub fn part(&mut self, words: &str, lines: u8) {
        self.gap(10.0);
        self.room(Look::Heading.leading() + 10.0 + f32::from(lines) * Look::Plain.leading());
        self.say(words, Look::Heading);
        self.rule(self.pages.len() - 1, self.y);
        self.gap(5.0);
    }

    /// A label, and beside it what it is about.
    pub fn line(&mut self, label: &str, words: &str, look: Look) {
        let label = self.legible(label);
        let labels = self.wrap(&label, Look::Fine, COLUMN - 10.0);
        // A label stays whole, with the words beside it.
        let height = labels.iter().fold(0.0, |height, _| height + Look::Fine.leading());
        let height = height.max(Look::Plain.leading());
        self.room(height);
        let (top, page) = (self.y, self.pages.len());
        let mut y = top - (Look::Plain.size() - Look::Fine.size()) * 0.8;
        for line in &labels {
            self.set(line, Look::Fine, MARGIN, y);
            y -= Look::Fine.leading();
        }
        self.column(words, look, MARGIN + COLUMN);
        if self.pages.len() == page {
            self.y = self.y.min(top - height);
        }
        self.gap(1.5);
    }

    /// What follows stays together: a new page, unless so many lines still fit on this one.
    pub fn keep(&mut self, lines: u8) {
        self.room(f32::from(lines) * Look::Plain.leading());
    }

    /// Nothing for a while.
    pub fn gap(&mut self, height: f32) {
        self.y -= height;
    }

    /// A letter that the font lacks is named by its number: nothing is left out without a sign.
    fn legible(&self, words: &str) -> String {
        let mut legible = String::with_capacity(words.len());
        for letter in words.chars() {
            if letter.is_whitespace() || letter.is_control() || self.faces[0].knows(letter) {
                legible.push(letter);
            } else {
                // Writing to a String does not fail.
                let _ = write!(legible, "[U+{:04X}]", u32::from(letter));
            }
        }
        legible
    }

    fn column(&mut self, words: &str, look: Look, x: f32) {
        let words = self.legible(words);
        for paragraph in words.split('\n') {
            for line in self.wrap(paragraph, look, WIDTH - MARGIN - x) {
                self.room(look.leading());
                let y = self.y;
                self.set(&line, look, x, y);
                self.y -= look.leading();
            }
        }
    }

    fn wrap(&self, paragraph: &str, look: Look, width: f32) -> Vec<String> {
        let face = &self.faces[look.face()];
        let wide = |words: &str| face.width(words) * look.size();
        let mut lines = vec![String::new()];
        for word in paragraph.split(|letter: char| letter.is_whitespace() || letter.is_control()) {
            let last = lines.len() - 1;
            let longer =
                format!("{}{}{word}", lines[last], if lines[last].is_empty() { "" } else { " " });
            if wide(&longer) <= width {
                lines[last] = longer;
                continue;
            }
            if !lines[last].is_empty() {
                lines.push(String::new());
            }
            // A word that is longer than the line (a digest, an address) is cut where it ends.
            for letter in word.chars() {
                let last = lines.len() - 1;
                if wide(&format!("{}{letter}", lines[last])) > width {
                    lines.push(String::new());
                }
                let last = lines.len() - 1;
                lines[last].push(letter);
            }
        }
        lines
    }

    /// A new page, unless so much still fits on this one.
    fn room(&mut self, height: f32) {
        if self.y - height < BOTTOM {
            self.pages.push(Content::new());
            self.y = HEIGHT - MARGIN;
        }
    }

    fn set(&mut self, words: &str, look: Look, x: f32, top: f32) {
        self.set_on(self.pages.len() - 1, words, look, x, top);
    }

    fn set_on(&mut self, page: usize, words: &str, look: Look, x: f32, top: f32) {
        let codes = self.faces[look.face()].encode(words);
        let (_, name, _) = FACES[look.face()];
        self.pages[page]
            .set_fill_gray(look.gray())
            .begin_text()
            .set_font(name, look.size())
            .set_text_matrix([1.0, 0.0, 0.0, 1.0, x, top - look.size()])
            .show(Str(&codes))
            .end_text();
    }

    /// The file. `foot` stands at the foot of each page, with the page's number at its end, and `head` over each page after the first: a page
    /// that was taken out of the others still says whose it is.
    pub fn finish(mut self, title: &str, head: &str, foot: &str) -> Vec<u8> {
        let head = self.legible(head);
        let mut head = self.wrap(&head, Look::Fine, WIDTH - 2.0 * MARGIN - 10.0);
        let mut first = head.remove(0);
        if !head.is_empty() {
            first.push('…');
        }
        let count = self.pages.len();
        for page in 0..count {
            if page > 0 {
                self.set_on(page, &first, Look::Fine, MARGIN, HEIGHT - MARGIN + 24.0);
                self.rule(page, HEIGHT - MARGIN + 10.0);
            }
            self.set_on(page, foot, Look::Fine, MARGIN, BOTTOM - 18.0);
            let number = format!("Trang {}/{count}", page + 1);
            let wide = self.faces[Look::Fine.face()].width(&number) * Look::Fine.size();
            self.set_on(page, &number, Look::Fine, WIDTH - MARGIN - wide, BOTTOM - 18.0);
        }
        self.write(title)
    }

    /// A hairline over the whole width.
    fn rule(&mut self, page: usize, y: f32) {
        let page = &mut self.pages[page];
        page.set_fill_gray(0.75).rect(MARGIN, y, WIDTH - 2.0 * MARGIN, 0.6).fill_nonzero();
    }

    fn write(self, title: &str) -> Vec<u8> {
        let mut ids = (1..).map(Ref::new);
        let mut next = || ids.next().unwrap_or(Ref::new(1));
        let (catalog, tree, info) = (next(), next(), next());
        let mut pdf = Pdf::new();
        pdf.catalog(catalog).pages(tree).lang(TextStr("vi"));
        pdf.document_info(info).title(TextStr(title)).producer(TextStr("loa"));
        let fonts: Vec<Ref> = self.faces.iter().map(|_| next()).collect();
        for ((typeface, id), (bytes, _, name)) in self.faces.iter().zip(&fonts).zip(FACES) {
            typeface.write(&mut pdf, *id, name, bytes, &mut next);
        }
        let kids: Vec<Ref> = self.pages.iter().map(|_| next()).collect();
        pdf.pages(tree).kids(kids.iter().copied()).count(i32::try_from(kids.len()).unwrap_or(0));
        for (content, id) in self.pages.into_iter().zip(&kids) {
            let words = next();
            let mut page = pdf.page(*id);
            page.media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT)).parent(tree).contents(words);
            let mut resources = page.resources();
            let mut named = resources.fonts();
            for (font, (_, name, _)) in fonts.iter().zip(FACES) {
                named.pair(name, *font);
            }
            named.finish();
            resources.finish();
            page.finish();
            pdf.stream(words, &content.finish());
        }
        pdf.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vietnamese_letter_is_in_both_weights() {
        let vowels = "aàảãáạăằẳẵắặâầẩẫấậeèẻẽéẹêềểễếệiìỉĩíịoòỏõóọôồổỗốộơờởỡớợuùủũúụưừửữứựyỳỷỹýỵđ";
        let paper = Paper::new();
        for letter in vowels
            .chars()
            .flat_map(|letter| [letter, letter.to_uppercase().next().unwrap_or(letter)])
        {
            assert!(paper.faces.iter().all(|face| face.knows(letter)), "{letter}");
        }
        assert_eq!(paper.legible("lũ 漢"), "lũ [U+6F22]");
    }

    #[test]
    fn no_line_is_wider_than_its_column_and_no_word_is_lost() {
        let paper = Paper::new();
        let words = format!(
            "Mưa rất to trên toàn tỉnh {} rời khỏi ven suối ngay",
            "0123456789abcdef".repeat(20)
        );
        let lines = paper.wrap(&words, Look::Plain, 200.0);
        for line in &lines {
            assert!(paper.faces[0].width(line) * Look::Plain.size() <= 200.0, "{line}");
        }
        let letters = |text: &str| text.chars().filter(|letter| *letter != ' ').collect::<String>();
        assert_eq!(letters(&lines.concat()), letters(&words));
    }

    #[test]
    fn the_same_words_are_the_same_bytes_and_long_ones_take_more_pages() {
        let set = || {
            let mut paper = Paper::new();
            paper.part("Phần", 3);
            for _ in 0..80 {
                paper.line("Nội dung", "Mưa rất to.", Look::Plain);
            }
            paper.finish("Hồ sơ", "đầu trang", "chân trang")
        };
        let file = set();
        assert_eq!(file, set());
        assert!(file.starts_with(b"%PDF-1."));
        let pages = file.windows(12).filter(|window| window == b"/Type /Page\n").count();
        assert_eq!(pages, 2);
    }
}
