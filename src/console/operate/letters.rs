//! Dead letters: what could not be worked on, why, and sending it back to where it came from.
//!
//! Of a message of our own its ids are shown; of anybody else's nothing but its length, for it may be about a person.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::queues::what_is;
use crate::console::asked::{Ours, Tokened};
use crate::console::frame::{Frame, answer};
use crate::console::visit::Visit;
use crate::console::{Console, refusal};
use crate::domain::account::Power;
use crate::domain::wording::{self, Tongue};
use crate::queue::dead::{self, DeadLetter, Filter, Replayed};
use crate::queue::{Broker, Queue, Task};
use crate::upkeep::dead_letters::{NotReplayed, replay};

/// The page's address.
const HERE: &str = "/console/operate/dead-letters";

/// Letters on the page, the oldest.
const LISTED: usize = 50;

/// Letters that one press sends back: each is confirmed, and the browser waits.
const AT_ONCE: usize = 500;

/// The page.
#[derive(Debug, Template)]
#[template(path = "console/dead_letters.html")]
pub struct LettersPage {
    /// Around it.
    pub f: Frame,
    /// What was sent back just now.
    done: Option<String>,
    /// Why nothing is known of them.
    trouble: Option<String>,
    /// How many there are; at least those that are listed.
    total: String,
    /// More than are listed.
    has_more: bool,
    /// Where they come from: queue, its name at the broker, how many of those listed.
    kinds: Vec<(String, String, String)>,
    letters: Vec<LetterLine>,
    may_replay: bool,
}

/// One letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterLine {
    what: String,
    at: Option<String>,
    reason: String,
    excerpt: String,
    broadcast: Option<String>,
    id: Option<String>,
    /// It says where it came from.
    can_go_back: bool,
}

/// Which letters are to be sent back; an empty field asks for any.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ReplayForm {
    csrf: String,
    queue: String,
    message_id: String,
}

impl Tokened for ReplayForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// `GET /console/operate/dead-letters`
pub async fn page(
    State(console): State<Arc<Console>>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Response {
    if let Some(refused) = super::refuse(&visit) {
        return refused;
    }
    let t = visit.t;
    let (total, letters) = match look(&console).await {
        Ok(found) => found,
        Err(trouble) => {
            let page =
                LettersPage { trouble: Some(trouble), ..LettersPage::of(&visit, None, 0, &[]) };
            return answer(StatusCode::SERVICE_UNAVAILABLE, &page);
        }
    };
    let done = Done::read(query.as_deref().unwrap_or_default()).map(|done| done.in_words(t));
    answer(StatusCode::OK, &LettersPage::of(&visit, done, total, &letters))
}

/// How many there are, and the oldest of them.
async fn look(console: &Console) -> Result<(usize, Vec<DeadLetter>), String> {
    if let Some(trouble) = console.operation.trouble() {
        return Err(trouble);
    }
    let Some((broker, _)) = &console.operation.queues else { return Err(String::new()) };
    let waiting = count(broker).await?;
    let letters = dead::list(broker, LISTED).await.map_err(|error| error.to_string())?;
    Ok((waiting.max(letters.len()), letters))
}

async fn count(broker: &Broker) -> Result<usize, String> {
    let waiting = broker.waiting(Queue::Dead).await?;
    Ok(usize::try_from(waiting).unwrap_or(usize::MAX))
}

/// `POST /console/operate/dead-letters/replay`
pub async fn send_back(
    State(console): State<Arc<Console>>,
    Ours { visit, form }: Ours<ReplayForm>,
) -> Response {
    if !visit.officer().role.may(Power::ReplayDeadLetters) {
        return refusal::only_operators(visit.frame());
    }
    let Some((broker, publisher)) = &console.operation.queues else {
        return refusal::broker_away(visit.frame(), &"not connected");
    };
    if let Some(trouble) = broker.trouble() {
        return refusal::broker_away(visit.frame(), &trouble);
    }
    let named = |text: String| Some(text).filter(|text| !text.is_empty());
    let filter =
        Filter { queue: named(form.queue), reason: None, message_id: named(form.message_id) };
    let actor = visit.officer().id.to_string();
    match replay(&console.pool, (broker, publisher), &actor, &filter, AT_ONCE).await {
        Ok(replayed) => Redirect::to(&Done::of(replayed).address()).into_response(),
        Err(NotReplayed::Broker(error)) => refusal::broker_away(visit.frame(), &error),
        Err(NotReplayed::Store(error)) => refusal::outage(visit.frame(), &error),
    }
}

/// What was done, as the address of the page says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Done {
    sent: usize,
    stuck: usize,
}

impl Done {
    fn of(replayed: Replayed) -> Self {
        Self { sent: replayed.moved, stuck: replayed.stuck }
    }

    fn address(self) -> String {
        format!("{HERE}?sent={}&stuck={}", self.sent, self.stuck)
    }

    fn read(query: &str) -> Option<Self> {
        let pairs: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).collect();
        let number = |name: &str| pairs.get(name)?.parse().ok();
        Some(Self { sent: number("sent")?, stuck: number("stuck").unwrap_or(0) })
    }

    fn in_words(self, t: Tongue) -> String {
        let number = |count: usize| wording::number(i64::try_from(count).unwrap_or(i64::MAX), t);
        let (sent, stuck) = (number(self.sent), number(self.stuck));
        let mut words = t.pick(format!("Đã gửi lại {sent} thư."), format!("{sent} sent back."));
        if self.stuck > 0 {
            words.push_str(&t.pick(
                format!(" {stuck} thư không biết gửi về đâu, vẫn nằm lại."),
                format!(" {stuck} do not say where they came from, and stay."),
            ));
        }
        words
    }
}

impl LettersPage {
    fn of(visit: &Visit, done: Option<String>, total: usize, letters: &[DeadLetter]) -> Self {
        let (t, role) = (visit.t, visit.officer().role);
        let may_follow = role.may(Power::ReadAllAlerts);
        let number = |count: usize| wording::number(i64::try_from(count).unwrap_or(i64::MAX), t);
        let mut kinds = BTreeMap::<&str, usize>::new();
        for queue in letters.iter().filter_map(|letter| letter.queue.as_deref()) {
            *kinds.entry(queue).or_default() += 1;
        }
        let kinds = kinds
            .into_iter()
            .map(|(queue, count)| (what_is(queue, t), queue.to_owned(), number(count)));
        Self {
            f: visit.frame(),
            done,
            trouble: None,
            total: number(total),
            has_more: total > letters.len(),
            kinds: kinds.collect(),
            letters: letters.iter().map(|letter| LetterLine::of(letter, may_follow, t)).collect(),
            may_replay: role.may(Power::ReplayDeadLetters),
        }
    }
}

impl LetterLine {
    fn of(letter: &DeadLetter, may_follow: bool, t: Tongue) -> Self {
        let length = wording::size(u64::try_from(letter.length).unwrap_or(u64::MAX), t);
        let (excerpt, broadcast) = match letter.task {
            Some(task @ (Task::PlanV1 { broadcast } | Task::PushV1 { broadcast, .. })) => {
                (task.message_id(), Some(broadcast.to_string()))
            }
            Some(task @ Task::NoticesV1 { .. }) => (task.message_id(), None),
            // Somebody else's words: they may be about a person.
            None => (
                t.pick(
                    format!("{length}, không hiện nội dung"),
                    format!("{length}, content not shown"),
                ),
                None,
            ),
        };
        let unknown = || t.pick("không rõ hàng đợi", "queue unknown").to_owned();
        Self {
            what: letter.queue.as_deref().map_or_else(unknown, |queue| what_is(queue, t)),
            at: letter.at.map(wording::moment),
            reason: letter.reason.clone(),
            excerpt,
            broadcast: broadcast.filter(|_| may_follow),
            id: letter.message_id.clone(),
            can_go_back: letter.origin.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_read_from_the_address_and_nothing_else_is() {
        let done = Done { sent: 3, stuck: 1 };
        let address = done.address();
        let (_, query) = address.split_once('?').expect("a query");
        assert_eq!(Done::read(query), Some(done));
        for other in ["", "sent=x", "sent=-1", "stuck=2", "sent=<b>"] {
            assert_eq!(Done::read(other), None, "{other}");
        }
    }

    #[test]
    fn of_somebody_elses_message_only_its_length_is_shown() {
        let letter = DeadLetter {
            message_id: Some("a-1".into()),
            reason: "no validated user-id".into(),
            at: None,
            queue: Some("feedback.events".into()),
            task: None,
            origin: None,
            length: 2048,
        };
        let line = LetterLine::of(&letter, true, Tongue::Vi);
        assert_eq!(line.what, "Hệ thống phản ánh gửi tới");
        assert!(line.excerpt.contains("không hiện nội dung") && !line.can_go_back, "{line:?}");
    }
}
