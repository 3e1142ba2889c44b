//! What a program measured, written into the document that tells of it.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// Replaces what stands in the document between `<!-- written by AUTHOR: begin -->` and `… end -->`. The rest is people's.
pub fn write_between(document: impl AsRef<Path>, author: &str, text: &str) -> anyhow::Result<()> {
    let document = document.as_ref();
    let name = document.display().to_string();
    let old = fs::read_to_string(document).with_context(|| name.clone())?;
    let new =
        replaced(&old, author, text).with_context(|| format!("{name}: no marks of {author}"))?;
    fs::write(document, new).context(name)
}

fn replaced(old: &str, author: &str, text: &str) -> Option<String> {
    let [begin, end] = ["begin", "end"].map(|mark| format!("<!-- written by {author}: {mark} -->"));
    let (before, rest) = old.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n{end}{after}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_an_authors_marks_is_replaced() {
        let old =
            "# A\n<!-- written by make x: begin -->\nold\n<!-- written by make x: end -->\nB\n";
        let new =
            "# A\n<!-- written by make x: begin -->\nnew\n<!-- written by make x: end -->\nB\n";
        assert_eq!(replaced(old, "make x", "new\n").as_deref(), Some(new));
        assert_eq!(replaced(old, "make y", "new"), None);
    }
}
