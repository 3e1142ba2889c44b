//! A broadcast is one message with the token exchanged. So a message is checked strictly once; another one that
//! differs only in its token, and whose token consists of characters that mean nothing to JSON, is the same document.

use std::sync::Arc;

use bytes::Bytes;

use super::answer::Refusal;
use super::schema::{self, Target};
use crate::exchange::Keeping;
use crate::ledger::MessageKey;

/// So many different messages a connection remembers.
const REMEMBERED: usize = 8;

/// What a message is besides its target.
#[derive(Debug, PartialEq, Eq)]
pub struct Facts {
    /// What makes it the same message as another.
    pub message: Arc<MessageKey>,
    /// What becomes of it while the device is off.
    pub keeping: Keeping,
    /// Nothing shall be sent.
    pub validate_only: bool,
}

struct Template {
    before: Bytes,
    after: Bytes,
    fid: bool,
    facts: Arc<Facts>,
}

/// The messages a connection has seen, the latest first.
#[derive(Default)]
pub struct Templates(Vec<Template>);

impl Templates {
    /// Target and facts of a message, or why it is refused.
    pub fn read(&mut self, body: &Bytes) -> Result<(Target, Arc<Facts>), Refusal> {
        if let Some((position, target)) = self.recognise(body) {
            self.0[..=position].rotate_right(1);
            return Ok((target, Arc::clone(&self.0[0].facts)));
        }
        let (target, facts) = schema::parse(body)?;
        let facts = Arc::new(facts);
        self.remember(body, &target, &facts);
        Ok((target, facts))
    }

    fn recognise(&self, body: &Bytes) -> Option<(usize, Target)> {
        self.0.iter().enumerate().find_map(|(position, template)| {
            let end = body.len().checked_sub(template.after.len())?;
            let start = template.before.len();
            let fits = start < end
                && body.starts_with(&template.before)
                && body.ends_with(&template.after);
            if !fits || !are_plain(&body[start..end]) {
                return None;
            }
            let token = body.slice(start..end);
            Some((position, if template.fid { Target::Fid(token) } else { Target::Token(token) }))
        })
    }

    /// Only where the token stands in the body exactly once is it certain that this is the place to exchange it.
    fn remember(&mut self, body: &Bytes, target: &Target, facts: &Arc<Facts>) {
        let (token, fid) = match target {
            Target::Token(token) => (token, false),
            Target::Fid(token) => (token, true),
            Target::Topic(_) | Target::Condition(_) => return,
        };
        if token.len() < 4 || !are_plain(token) {
            return;
        }
        let mut places = body
            .windows(token.len())
            .enumerate()
            .filter(|(_, window)| window == token)
            .map(|(at, _)| at);
        let (Some(at), None) = (places.next(), places.next()) else { return };
        let end = at + token.len();
        if at == 0 || body[at - 1] != b'"' || body.get(end) != Some(&b'"') {
            return;
        }
        let template = Template {
            before: body.slice(..at),
            after: body.slice(end..),
            fid,
            facts: Arc::clone(facts),
        };
        self.0.truncate(REMEMBERED - 1);
        self.0.insert(0, template);
    }
}

/// Looked at to the end, whatever is found: the letters of a token are not to be guessed, and each wrong guess costs a processor more
/// than a comparison.
fn are_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |plain, &byte| plain & PLAIN[usize::from(byte)])
}

const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        plain[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'-');
        byte += 1;
    }
    plain
};

#[cfg(test)]
mod tests {
    use super::*;

    fn message(token: &str, text: &str) -> Bytes {
        Bytes::from(format!(
            r#"{{"message":{{"token":"{token}","data":{{"cid":"c","text":"{text}"}}}}}}"#
        ))
    }

    #[test]
    fn the_next_token_of_the_same_message_is_recognised() {
        let mut templates = Templates::default();
        templates.read(&message("first:token", "x")).unwrap();
        assert_eq!(
            templates.recognise(&message("second:token", "x")).unwrap().1,
            Target::Token("second:token".into())
        );
        assert!(templates.recognise(&message("second:token", "y")).is_none());
    }

    #[test]
    fn a_token_that_would_change_the_document_is_not() {
        let mut templates = Templates::default();
        templates.read(&message("first:token", "x")).unwrap();
        assert!(templates.recognise(&message(r#"a","topic":"b"#, "x")).is_none());
        assert!(templates.read(&message(r#"a","topic":"b"#, "x")).is_err());
    }

    #[test]
    fn a_message_that_repeats_its_token_is_checked_every_time() {
        let mut templates = Templates::default();
        templates.read(&message("first:token", "first:token")).unwrap();
        assert!(templates.0.is_empty());
    }
}
