//! What changed between two revisions of an alert, word by word, under the names that the form has for its fields.

use similar::{ChangeTag, TextDiff};

use super::write::label;
use crate::approval::touched::Touched;
use crate::domain::alert::Typed;
use crate::domain::wording::{self, Tongue};

/// Since the last decision.
#[derive(Debug)]
pub struct Difference {
    /// The revision that was decided about.
    pub since: u32,
    /// What was to be mended then.
    pub reason: Option<String>,
    /// Field by field.
    pub fields: Vec<Field>,
}

/// One field that says something else.
#[derive(Debug)]
pub struct Field {
    /// What it is called.
    pub name: String,
    /// Its pieces, in order.
    pub pieces: Vec<Piece>,
}

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// In both.
    Kept(String),
    /// Only in the earlier one.
    Gone(String),
    /// Only in this one.
    New(String),
}

impl Difference {
    /// What changed since the last decision, if anything did.
    pub fn of(touched: &Touched, t: Tongue) -> Option<Self> {
        let before = touched.before.as_ref()?;
        let (old, new) = (Typed::of_content(&before.content), Typed::of_content(&touched.now));
        let fields = old.differences(&new).into_iter().map(|name| Field {
            pieces: pieces(&said(&old, &name, t), &said(&new, &name, t)),
            name: label(&name, t),
        });
        let document = before.has_other_document.then(|| Field {
            name: label("document", t),
            pieces: vec![Piece::New(t.pick("một tệp khác", "another file").to_owned())],
        });
        Some(Self {
            since: before.revision,
            reason: before.reason.clone(),
            fields: fields.chain(document).collect(),
        })
    }
}

/// What stands in a field, as people read it.
fn said(typed: &Typed, name: &str, t: Tongue) -> String {
    let value = typed.get(name);
    match name {
        "expires" | "effective" | "send_at" => value.replace('T', " "),
        "communes" => {
            let codes: Vec<String> = value.split_whitespace().map(str::to_owned).collect();
            let communes = crate::domain::area::parse(&codes, &mut Vec::new());
            crate::domain::area::names(&communes)
        }
        _ => wording::word(name, value, t).unwrap_or(value).to_owned(),
    }
}

/// Two texts as one, with what went and what came marked; neighbours of a kind are one piece.
fn pieces(old: &str, new: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for change in TextDiff::from_words(old, new).iter_all_changes() {
        let text = change.value();
        match (change.tag(), pieces.last_mut()) {
            (ChangeTag::Equal, Some(Piece::Kept(last)))
            | (ChangeTag::Delete, Some(Piece::Gone(last)))
            | (ChangeTag::Insert, Some(Piece::New(last))) => last.push_str(text),
            (ChangeTag::Equal, _) => pieces.push(Piece::Kept(text.to_owned())),
            (ChangeTag::Delete, _) => pieces.push(Piece::Gone(text.to_owned())),
            (ChangeTag::Insert, _) => pieces.push(Piece::New(text.to_owned())),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_and_what_came_are_marked_word_by_word() {
        let kept = |text: &str| Piece::Kept(text.to_owned());
        assert_eq!(
            pieces("Rời khỏi ven suối ngay.", "Rời khỏi ven sông ngay."),
            [
                kept("Rời khỏi ven "),
                Piece::Gone("suối".to_owned()),
                Piece::New("sông".to_owned()),
                kept(" ngay."),
            ]
        );
        assert_eq!(pieces("", "Mới"), [Piece::New("Mới".to_owned())]);
        assert_eq!(pieces("như cũ", "như cũ"), [kept("như cũ")]);
    }
}
