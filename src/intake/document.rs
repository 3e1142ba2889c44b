//! The source document: received piece by piece, refused as soon as it cannot become one, known by its content alone.
//!
//! What a client calls the file proves nothing. The first bytes must be those of a PDF, JPEG or PNG, and the structure must be whole from
//! end to end: a page of script behind a picture's first bytes is no picture. This is no virus scanner: it does not look at what a
//! PDF contains, and documents are always served as downloads that a browser will not run.

use ring::digest::{Context, SHA256};

use crate::domain::violation::Violation;

/// What a document may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// ISO 32000.
    Pdf,
    /// ITU-T T.81.
    Jpeg,
    /// W3C PNG.
    Png,
}

impl MediaType {
    /// Its name (IANA).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    fn of_magic(start: &[u8]) -> Option<Self> {
        if start.starts_with(b"%PDF-1.") || start.starts_with(b"%PDF-2.") {
            Some(Self::Pdf)
        } else if start.starts_with(&[0xff, 0xd8, 0xff]) {
            Some(Self::Jpeg)
        } else if start.starts_with(PNG_SIGNATURE) {
            Some(Self::Png)
        } else {
            None
        }
    }
}

const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Bytes after which every type we take has shown itself.
const MAGIC: usize = 8;

/// Why a file is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Nothing came.
    #[error("the document is empty")]
    Empty,
    /// More than this many bytes.
    #[error("the document is larger than {0} bytes")]
    TooLarge(usize),
    /// Neither PDF nor JPEG nor PNG.
    #[error("the document is neither PDF nor JPEG nor PNG")]
    UnknownType,
    /// It begins like one, but is not whole.
    #[error("the document begins like {} but is not whole", .0.as_str())]
    Broken(MediaType),
    /// The client called it something else.
    #[error("the document was declared as {declared} but is {}", .found.as_str())]
    Declared {
        /// What the client said.
        declared: String,
        /// What it is.
        found: MediaType,
    },
}

impl DocumentError {
    /// The rule that was broken, for people.
    pub fn violation(&self) -> Violation {
        let (rule, vi, en) = match self {
            Self::Empty => {
                ("required", "Tệp văn bản rỗng.".to_owned(), "The document is empty.".to_owned())
            }
            Self::TooLarge(limit) => {
                let mebibytes = limit / (1024 * 1024);
                (
                    "too_large",
                    format!(
                        "Tệp văn bản lớn hơn {mebibytes} MB. Hãy quét lại ở độ phân giải thấp hơn."
                    ),
                    format!(
                        "The document is larger than {mebibytes} MiB. Scan it at a lower resolution."
                    ),
                )
            }
            Self::UnknownType => (
                "unknown_type",
                "Tệp phải là PDF, JPEG hoặc PNG; nội dung tệp này không phải.".to_owned(),
                "The document must be PDF, JPEG or PNG; this content is none of them.".to_owned(),
            ),
            Self::Broken(found) => (
                "broken",
                format!(
                    "Tệp mở đầu như {} nhưng không trọn vẹn. Hãy xuất lại tệp.",
                    found.as_str()
                ),
                format!(
                    "The document begins like {} but is not whole. Export it again.",
                    found.as_str()
                ),
            ),
            Self::Declared { declared, found } => (
                "type_mismatch",
                format!("Tệp được khai là {declared} nhưng nội dung là {}.", found.as_str()),
                format!("The document was declared as {declared} but is {}.", found.as_str()),
            ),
        };
        Violation::new("document", rule, vi, en)
    }
}

/// A document being received.
pub struct Upload {
    limit: usize,
    content: Vec<u8>,
    hash: Context,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upload({} bytes)", self.content.len())
    }
}

impl Upload {
    /// Takes at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, content: Vec::new(), hash: Context::new(&SHA256) }
    }

    /// Takes the next piece, or says as early as possible that this will not become a document.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), DocumentError> {
        if self.content.len() + piece.len() > self.limit {
            return Err(DocumentError::TooLarge(self.limit));
        }
        self.hash.update(piece);
        self.content.extend_from_slice(piece);
        if self.content.len() >= MAGIC && MediaType::of_magic(&self.content).is_none() {
            return Err(DocumentError::UnknownType);
        }
        Ok(())
    }

    /// The whole has come. `declared` is what the client called it, if it did.
    pub fn finish(self, declared: Option<&str>) -> Result<Document, DocumentError> {
        if self.content.is_empty() {
            return Err(DocumentError::Empty);
        }
        let found = MediaType::of_magic(&self.content).ok_or(DocumentError::UnknownType)?;
        let whole = match found {
            MediaType::Pdf => pdf_is_whole(&self.content),
            MediaType::Jpeg => jpeg_is_whole(&self.content),
            MediaType::Png => png_is_whole(&self.content),
        };
        if !whole {
            return Err(DocumentError::Broken(found));
        }
        let declared = declared
            .and_then(|name| name.split(';').next())
            .map(|name| name.trim().to_ascii_lowercase())
            .filter(|name| !name.is_empty() && name != "application/octet-stream");
        if let Some(declared) = declared.filter(|name| name != found.as_str()) {
            return Err(DocumentError::Declared { declared, found });
        }
        Ok(Document {
            media_type: found,
            sha256: self.hash.finish().as_ref().to_vec(),
            content: self.content,
        })
    }
}

/// A whole PDF, JPEG or PNG. A value of this type was checked.
pub struct Document {
    media_type: MediaType,
    sha256: Vec<u8>,
    content: Vec<u8>,
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { media_type, content, .. } = self;
        write!(f, "Document({}, {} bytes)", media_type.as_str(), content.len())
    }
}

impl Document {
    /// What it is.
    pub fn media_type(&self) -> MediaType {
        self.media_type
    }

    /// SHA-256 of the content, 32 bytes.
    pub fn sha256(&self) -> &[u8] {
        &self.sha256
    }

    /// As uploaded.
    pub fn content(&self) -> &[u8] {
        &self.content
    }
}

/// Ends with a cross-reference pointer that points into the file, and an end mark (ISO 32000-2 §7.5.5).
fn pdf_is_whole(content: &[u8]) -> bool {
    let tail = &content[content.len().saturating_sub(2048)..];
    let Some(end) = rfind(tail, b"%%EOF") else {
        return false;
    };
    // After the mark only line ends and padding: no second file rides behind the first.
    if !tail[end + 5..].iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0) {
        return false;
    }
    let Some(start) = rfind(&tail[..end], b"startxref") else {
        return false;
    };
    std::str::from_utf8(&tail[start + 9..end])
        .ok()
        .and_then(|digits| digits.trim().parse::<usize>().ok())
        .is_some_and(|offset| offset < content.len())
}

fn rfind(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).rposition(|window| window == needle)
}

/// Segments follow one another to the scan, a frame header with a size came before it, and the end mark ends the file.
fn jpeg_is_whole(content: &[u8]) -> bool {
    let mut at = 2;
    let mut has_frame = false;
    loop {
        let Some(&[0xff, marker]) = content.get(at..at + 2) else {
            return false;
        };
        match marker {
            // Fill bytes before a marker.
            0xff => {
                at += 1;
                continue;
            }
            // SOS: entropy-coded data follows.
            0xda => {
                let padded = content.iter().rposition(|byte| *byte != 0);
                let ends = padded.is_some_and(|last| content[..=last].ends_with(&[0xff, 0xd9]));
                return has_frame && ends;
            }
            0x01 | 0xd0..=0xd9 => return false,
            _ => {}
        }
        let Some(&[high, low]) = content.get(at + 2..at + 4) else {
            return false;
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let is_frame = (0xc0..=0xcf).contains(&marker) && ![0xc4, 0xc8, 0xcc].contains(&marker);
        if is_frame {
            // Precision, height, width: neither may be zero.
            let Some(&[_, h1, h2, w1, w2]) = content.get(at + 4..at + 9) else {
                return false;
            };
            has_frame = (h1 | h2) != 0 && (w1 | w2) != 0;
        }
        if length < 2 {
            return false;
        }
        at += 2 + length;
    }
}

/// Chunks follow one another from IHDR, whose checksum is right, to IEND, which ends the file (PNG §5).
fn png_is_whole(content: &[u8]) -> bool {
    let mut at = PNG_SIGNATURE.len();
    let mut is_first = true;
    let mut has_image = false;
    while let Some(head) = content.get(at..at + 8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let kind = &head[4..8];
        let Some(body) = content.get(at + 4..at + 8 + length) else {
            return false;
        };
        let Some(&[c1, c2, c3, c4]) = content.get(at + 8 + length..at + 12 + length) else {
            return false;
        };
        if is_first
            && (kind != b"IHDR"
                || length != 13
                || crc32(body) != u32::from_be_bytes([c1, c2, c3, c4]))
        {
            return false;
        }
        is_first = false;
        has_image |= kind == b"IDAT" && length > 0;
        at += 12 + length;
        if kind == b"IEND" {
            return has_image && at == content.len();
        }
    }
    false
}

/// CRC-32 as PNG uses it (ISO 3309). Only the header's 17 bytes are checked, so no table is needed.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

#[cfg(test)]
mod tests;
