//! The words of a PDF of ours, read back from the file itself: its strings, and what it says each glyph stands for.

use std::collections::BTreeMap;

/// Every line of the file, in the order in which it is written.
pub fn lines(file: &[u8]) -> Vec<String> {
    let streams = streams(file);
    // In the order of the fonts: R, then S.
    let fonts: Vec<BTreeMap<u16, char>> =
        streams.iter().filter_map(|stream| letters(stream)).collect();
    assert_eq!(fonts.len(), 2, "two weights");
    let mut lines = Vec::new();
    for stream in streams.iter().filter(|stream| has(stream, b" Tf")) {
        read(stream, &fonts, &mut lines);
    }
    lines
}

/// How many pages.
pub fn pages(file: &[u8]) -> usize {
    file.windows(12).filter(|window| window == b"/Type /Page\n").count()
}

fn streams(file: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut rest = file;
    while let Some(at) = find(rest, b"stream\n") {
        rest = &rest[at + 7..];
        let end = find(rest, b"endstream").expect("it ends");
        found.push(&rest[..end]);
        rest = &rest[end + 9..];
    }
    found
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn has(bytes: &[u8], what: &[u8]) -> bool {
    find(bytes, what).is_some()
}

/// What each glyph of a font stands for, by its ToUnicode map.
fn letters(stream: &[u8]) -> Option<BTreeMap<u16, char>> {
    has(stream, b"beginbfchar").then_some(())?;
    let text = String::from_utf8_lossy(stream);
    let pairs = text.lines().filter_map(|line| {
        let (glyph, letter) = line.strip_prefix('<')?.split_once("> <")?;
        let letter = u32::from_str_radix(letter.strip_suffix('>')?, 16).ok()?;
        Some((u16::from_str_radix(glyph, 16).ok()?, char::from_u32(letter)?))
    });
    Some(pairs.collect())
}

/// Follows a page's operators: the font in use, and each string that is shown.
fn read(stream: &[u8], fonts: &[BTreeMap<u16, char>], lines: &mut Vec<String>) {
    let (mut at, mut font) = (0, 0);
    while at < stream.len() {
        match stream[at] {
            b'/' => {
                font = usize::from(stream[at + 1] == b'S');
                at += 2;
            }
            b'<' => {
                let end = at + find(&stream[at..], b">").expect("closed");
                let hex = std::str::from_utf8(&stream[at + 1..end]).expect("hexadecimal");
                let bytes: Vec<u8> = (0..hex.len() / 2)
                    .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("a byte"))
                    .collect();
                lines.push(decode(&bytes, &fonts[font]));
                at = end + 1;
            }
            b'(' => {
                let (bytes, end) = literal(stream, at + 1);
                lines.push(decode(&bytes, &fonts[font]));
                at = end;
            }
            _ => at += 1,
        }
    }
}

/// A literal string (ISO 32000-1, 7.3.4.2), as far as our own writer goes.
fn literal(stream: &[u8], mut at: usize) -> (Vec<u8>, usize) {
    let (mut bytes, mut depth) = (Vec::new(), 0);
    loop {
        match stream[at] {
            b'\\' => {
                at += 1;
                bytes.push(match stream[at] {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'f' => 12,
                    b'0'..=b'7' => {
                        let digits = std::str::from_utf8(&stream[at..at + 3]).expect("octal");
                        at += 2;
                        u8::from_str_radix(digits, 8).expect("a byte")
                    }
                    other => other,
                });
            }
            b')' if depth == 0 => return (bytes, at + 1),
            byte => {
                depth += i32::from(byte == b'(') - i32::from(byte == b')');
                bytes.push(byte);
            }
        }
        at += 1;
    }
}

fn decode(bytes: &[u8], letters: &BTreeMap<u16, char>) -> String {
    let glyphs = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    glyphs.map(|glyph| letters.get(&glyph).copied().unwrap_or('?')).collect()
}
