//! How much waits at the broker, and who takes it.

use super::Operation;
use crate::console::screens::platform;
use crate::domain::device::Provider;
use crate::domain::wording::{self, Tongue};
use crate::queue::Queue;
use crate::queue::depth::{self, Depth};

/// The queues of this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuesView {
    /// Queues, but for the dead letters.
    pub lines: Vec<QueueLine>,
    /// Dead letters; `None` when the broker does not say.
    pub dead: Option<i64>,
    /// Why the broker does not say.
    pub trouble: Option<String>,
    /// Queues of what is broadcast that nobody takes from.
    pub untaken: Vec<Untaken>,
}

/// A queue that an alert to everybody passes through, and nobody takes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untaken {
    /// Whose it is; `None`: all providers'.
    pub of: Option<Provider>,
    /// Its name at the broker.
    pub name: &'static str,
}

/// One queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueLine {
    /// What waits there.
    pub what: String,
    /// Its name at the broker.
    pub name: &'static str,
    /// How much.
    pub waiting: String,
    /// Who takes from it.
    pub consumers: u32,
    /// Something waits and nobody takes it.
    pub is_stuck: bool,
}

impl QueuesView {
    /// Asks the broker.
    pub async fn look(operation: &Operation, t: Tongue) -> Self {
        let depths = match &operation.queues {
            Some((broker, _)) => depth::depths(broker).await,
            None => Err("not connected".to_owned()),
        };
        match depths {
            Ok(depths) => Self {
                dead: depths
                    .iter()
                    .find(|depth| depth.queue == Queue::Dead)
                    .map(|depth| depth.waiting.into()),
                lines: depths.iter().filter_map(|depth| QueueLine::of(depth, t)).collect(),
                trouble: None,
                untaken: depths.iter().filter_map(untaken).collect(),
            },
            Err(trouble) => {
                Self { lines: Vec::new(), dead: None, trouble: Some(trouble), untaken: Vec::new() }
            }
        }
    }

    /// Are there dead letters?
    pub fn has_dead(&self) -> bool {
        self.dead.is_some_and(|dead| dead > 0)
    }

    /// How many dead letters there are, in words.
    pub fn dead_words(&self, t: Tongue) -> String {
        self.dead.map_or_else(|| "?".to_owned(), |dead| wording::number(dead, t))
    }
}

impl QueueLine {
    /// A line; nothing for dead letters, which have a page of their own, and for drills where there is no drill.
    fn of(depth: &Depth, t: Tongue) -> Option<Self> {
        let idle = depth.waiting == 0 && depth.consumers == 0;
        match depth.queue {
            Queue::Dead => return None,
            Queue::DrillPlan | Queue::Drill(_) if idle => return None,
            Queue::Plan
            | Queue::Emergency(_)
            | Queue::Bulk(_)
            | Queue::DrillPlan
            | Queue::Drill(_)
            | Queue::Notice
            | Queue::AlertRequests
            | Queue::FeedbackEvents => {}
        }
        Some(Self {
            what: what(depth.queue, t),
            name: depth.queue.name(),
            waiting: wording::number(depth.waiting.into(), t),
            consumers: depth.consumers,
            is_stuck: depth.waiting > 0 && depth.consumers == 0,
        })
    }
}

/// A queue that an alert to everybody passes through, when nobody takes from it.
fn untaken(depth: &Depth) -> Option<Untaken> {
    let of = match depth.queue {
        Queue::Plan => None,
        Queue::Emergency(provider) | Queue::Bulk(provider) => Some(provider),
        Queue::DrillPlan
        | Queue::Drill(_)
        | Queue::Notice
        | Queue::AlertRequests
        | Queue::FeedbackEvents
        | Queue::Dead => return None,
    };
    (depth.consumers == 0).then(|| Untaken { of, name: depth.queue.name() })
}

/// What waits in a queue, as people call it.
pub fn what(queue: Queue, t: Tongue) -> String {
    let of = |words: &str, provider| format!("{words} · {}", platform(provider));
    match queue {
        Queue::Plan => t.pick("Chia đợt phát thành lô", "Broadcasts to be cut into batches").into(),
        Queue::Emergency(provider) => of(t.pick("Khẩn cấp", "Emergencies"), provider),
        Queue::Bulk(provider) => of(t.pick("Tin thường", "Announcements"), provider),
        Queue::DrillPlan => t.pick("Diễn tập: chia thành lô", "Drills to be cut").into(),
        Queue::Drill(provider) => of(t.pick("Diễn tập", "Drills"), provider),
        Queue::Notice => t.pick("Thông báo cho từng người", "Personal notices").into(),
        Queue::AlertRequests => t.pick("Hệ thống của cơ quan gửi tin", "Agencies' systems").into(),
        Queue::FeedbackEvents => t.pick("Hệ thống phản ánh gửi tới", "Feedback system").into(),
        Queue::Dead => t.pick("Không xử lý được", "Dead letters").into(),
    }
}

/// The same by the name at the broker; a name that is none of ours is shown as it is.
pub fn what_is(name: &str, t: Tongue) -> String {
    let known = Queue::all().into_iter().find(|queue| queue.name() == name);
    known.map_or_else(|| name.to_owned(), |queue| what(queue, t))
}
