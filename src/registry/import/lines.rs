//! One line: read within bounds, parsed whole, or refused with every reason.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::domain::id::InstallationId;
use crate::domain::registration::{Registration, RegistrationRequest, WebPushRules};
use crate::domain::violation::Violation;
use crate::store::device::arrival::Arrival;

/// Longest line, bytes: four times what the longest lawful device takes.
pub(super) const LINE_MAX: usize = 16 * 1024;
/// Longest subject, bytes.
const SUBJECT_MAX: usize = 200;

/// One line as it stands in the file, without its end.
pub(super) struct Line {
    /// At most [`LINE_MAX`] bytes are kept.
    content: Vec<u8>,
    /// Bytes it takes in the file.
    pub(super) size: u64,
}

/// Why a line is refused, as it stands in the report.
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    line: i64,
    reasons: Vec<Violation>,
}

impl Refusal {
    pub(super) fn write_to(&self, report: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *report, self)?;
        report.write_all(b"\n")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    installation: InstallationId,
    kind: Option<String>,
    token: Option<String>,
    environment: Option<String>,
    endpoint: Option<String>,
    p256dh: Option<String>,
    auth: Option<String>,
    vapid_key_id: Option<String>,
    locale: Option<String>,
    platform: Option<String>,
    app_version: Option<String>,
    subject: Option<String>,
}

/// The next line, or `None` at the end of the file. However long a line is, no more than [`LINE_MAX`] bytes are held.
pub(super) fn next_line(reader: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut line = Line { content: Vec::with_capacity(512), size: 0 };
    loop {
        let chunk = match reader.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunk.is_empty() {
            return Ok((line.size > 0).then_some(line));
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(chunk.len(), |at| at + 1);
        let content = &chunk[..end.unwrap_or(chunk.len())];
        // One byte more than allowed is kept, so that parsing sees that the line is too long.
        let room = (LINE_MAX + 1).saturating_sub(line.content.len());
        line.content.extend_from_slice(&content[..content.len().min(room)]);
        line.size += taken as u64;
        reader.consume(taken);
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}

impl Line {
    pub(super) fn is_blank(&self) -> bool {
        self.content.iter().all(u8::is_ascii_whitespace)
    }

    pub(super) fn parse(&self, number: i64, rules: &WebPushRules) -> Result<Arrival, Refusal> {
        self.read(rules).map_err(|reasons| Refusal { line: number, reasons })
    }

    fn read(&self, rules: &WebPushRules) -> Result<Arrival, Vec<Violation>> {
        if self.content.len() > LINE_MAX {
            return Err(vec![Violation::new(
                "",
                "line_too_long",
                format!("Dòng dài quá {LINE_MAX} byte."),
                format!("The line is longer than {LINE_MAX} bytes."),
            )]);
        }
        // A byte order mark belongs to the file, not to the first device.
        let content = self.content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.content);
        let text = std::str::from_utf8(content).map_err(|error| {
            let at = error.valid_up_to() + 1;
            vec![Violation::new(
                "",
                "not_utf8",
                format!("Không phải UTF-8, từ byte thứ {at}."),
                format!("Not UTF-8, from byte {at} on."),
            )]
        })?;
        let record: Record = parse_json(text)?;
        let subject = record.subject;
        let lawful = subject.as_deref().is_none_or(|s| {
            (1..=SUBJECT_MAX).contains(&s.len()) && !s.chars().any(char::is_control)
        });
        let request = RegistrationRequest {
            kind: record.kind,
            token: record.token,
            environment: record.environment,
            endpoint: record.endpoint,
            p256dh: record.p256dh,
            auth: record.auth,
            vapid_key_id: record.vapid_key_id,
            locale: record.locale,
            platform: record.platform,
            app_version: record.app_version,
        };
        let parsed = Registration::parse(request, rules);
        if lawful {
            return parsed.map(|registration| Arrival {
                installation: record.installation,
                hash: registration.address.hash(),
                registration,
                subject,
            });
        }
        let mut reasons = parsed.err().unwrap_or_default();
        reasons.push(Violation::new(
            "subject",
            "not_a_subject",
            "Phải gồm 1–200 byte, không có ký tự điều khiển.",
            "Must be 1 to 200 bytes without control characters.",
        ));
        Err(reasons)
    }
}

/// serde's own words quote no values of texts, but a wrongly typed one it does: only the place and the kind of fault are kept.
fn parse_json(text: &str) -> Result<Record, Vec<Violation>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let fault = match serde_path_to_error::deserialize::<_, Record>(&mut deserializer) {
        Ok(record) => match deserializer.end() {
            Ok(()) => return Ok(record),
            Err(error) => Violation::new(
                "",
                "not_one_object",
                format!("Sau đối tượng JSON còn ký tự thừa, tại cột {}.", error.column()),
                format!("Something follows the JSON object, at column {}.", error.column()),
            ),
        },
        Err(error) => {
            let field = error.path().to_string();
            let inner = error.into_inner();
            let column = inner.column();
            match inner.classify() {
                serde_json::error::Category::Eof => Violation::new(
                    "",
                    "truncated",
                    "Dòng bị cắt cụt: JSON kết thúc giữa chừng.",
                    "The line is cut off: the JSON ends midway.",
                ),
                serde_json::error::Category::Data => Violation::new(
                    if field == "." { String::new() } else { field },
                    "wrong_field",
                    format!("Trường thiếu, lạ, lặp lại hoặc sai kiểu, gần cột {column}."),
                    format!(
                        "A field is missing, unknown, repeated or of the wrong type, near column {column}."
                    ),
                ),
                serde_json::error::Category::Syntax | serde_json::error::Category::Io => {
                    Violation::new(
                        "",
                        "not_json",
                        format!("Không phải JSON, tại cột {column}."),
                        format!("Not JSON, at column {column}."),
                    )
                }
            }
        }
    };
    Err(vec![fault])
}
