//! Every exchange, queue and binding there is, as data, each flag with its reason.
//!
//! Three readers: [`declare`] (at every connection, so that a wiped broker is whole again), [`definitions`] (written to
//! `queues/definitions.json`, for operators; a test compares the two), and the names in the rest of this module.
//! Plain enough for RabbitMQ 3.10 to 4.x.

use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};
use serde_json::{Value, json};

use crate::domain::broadcast::Lane;
use crate::domain::device::Provider;

/// Where messages are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exchange {
    /// Work of our own, by the name of its queue.
    Work,
    /// What could not be worked on, with its reason.
    Dead,
    /// Pause, resume, stop: a nudge to every dispatcher; the truth is in PostgreSQL.
    Control,
    /// What others may follow: `alert.live`, `broadcast.completed`.
    Events,
    /// Agencies' systems submit here.
    AlertRequests,
    /// The feedback system and neighbours publish here.
    FeedbackEvents,
    /// The broker's own: straight to the queue that the routing key names. For answers on `reply-to`.
    Default,
}

impl Exchange {
    /// All that we declare.
    pub const DECLARED: [Self; 6] = [
        Self::Work,
        Self::Dead,
        Self::Control,
        Self::Events,
        Self::AlertRequests,
        Self::FeedbackEvents,
    ];

    /// Its name at the broker.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Work => "loa.work",
            Self::Dead => "loa.dead",
            Self::Control => "loa.control",
            Self::Events => "loa.events",
            Self::AlertRequests => "alerts.requests",
            Self::FeedbackEvents => "feedback.events",
            Self::Default => "",
        }
    }

    /// The exchange of a stored name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::DECLARED.into_iter().find(|exchange| exchange.name() == name)
    }

    const fn kind(self) -> &'static str {
        match self {
            // By exact name: a task belongs to one queue.
            Self::Work | Self::Default => "direct",
            // To all who listen, whatever the key: dead letters keep the key they had; a nudge has none.
            Self::Dead | Self::Control => "fanout",
            // Followers choose by pattern; senders name the kind of request.
            Self::Events | Self::AlertRequests | Self::FeedbackEvents => "topic",
        }
    }

    /// Whether a message that reaches no queue is lost work. A nudge or an event that nobody follows is not.
    pub(super) const fn must_be_routed(self) -> bool {
        match self {
            Self::Work
            | Self::Dead
            | Self::AlertRequests
            | Self::FeedbackEvents
            | Self::Default => true,
            Self::Control | Self::Events => false,
        }
    }
}

/// Where messages wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// Approved broadcasts to be cut into batches.
    Plan,
    /// Batches of emergencies.
    Emergency(Provider),
    /// Batches of everything else that goes to all.
    Bulk(Provider),
    /// Approved drills to be cut into batches: only for dispatchers that have a drill group.
    DrillPlan,
    /// Batches of drills.
    Drill(Provider),
    /// Notices to one person, all providers.
    Notice,
    /// What agencies' systems submit.
    AlertRequests,
    /// What the feedback system and neighbours tell.
    FeedbackEvents,
    /// What could not be worked on.
    Dead,
}

impl Queue {
    /// The queue of the tasks of `lane` for `provider`. Notices share one queue: a person's devices are on several providers.
    pub const fn of_lane(lane: Lane, provider: Provider) -> Self {
        match lane {
            Lane::Emergency => Self::Emergency(provider),
            Lane::Bulk => Self::Bulk(provider),
            Lane::Drill => Self::Drill(provider),
            Lane::Personal => Self::Notice,
        }
    }

    /// The queue of the plans of `lane`.
    pub const fn of_plans(lane: Lane) -> Self {
        match lane {
            Lane::Drill => Self::DrillPlan,
            Lane::Emergency | Lane::Bulk | Lane::Personal => Self::Plan,
        }
    }

    /// All of them.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Plan];
        all.extend(Provider::ALL.map(Self::Emergency));
        all.extend(Provider::ALL.map(Self::Bulk));
        all.push(Self::DrillPlan);
        all.extend(Provider::ALL.map(Self::Drill));
        all.extend([Self::Notice, Self::AlertRequests, Self::FeedbackEvents, Self::Dead]);
        all
    }

    /// Its name at the broker; for work also its routing key.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Emergency(Provider::Fcm) => "push.emergency.fcm",
            Self::Emergency(Provider::Apns) => "push.emergency.apns",
            Self::Emergency(Provider::WebPush) => "push.emergency.webpush",
            Self::Bulk(Provider::Fcm) => "push.bulk.fcm",
            Self::Bulk(Provider::Apns) => "push.bulk.apns",
            Self::Bulk(Provider::WebPush) => "push.bulk.webpush",
            Self::DrillPlan => "push.drill.plan",
            Self::Drill(Provider::Fcm) => "push.drill.fcm",
            Self::Drill(Provider::Apns) => "push.drill.apns",
            Self::Drill(Provider::WebPush) => "push.drill.webpush",
            Self::Notice => "notice",
            Self::AlertRequests => "alerts.requests",
            Self::FeedbackEvents => "feedback.events",
            Self::Dead => "dead",
        }
    }

    /// The exchange that feeds it, and by which key.
    pub const fn bound_to(self) -> (Exchange, &'static str) {
        match self {
            Self::Plan
            | Self::Emergency(_)
            | Self::Bulk(_)
            | Self::DrillPlan
            | Self::Drill(_)
            | Self::Notice => (Exchange::Work, self.name()),
            Self::AlertRequests => (Exchange::AlertRequests, "#"),
            Self::FeedbackEvents => (Exchange::FeedbackEvents, "#"),
            Self::Dead => (Exchange::Dead, ""),
        }
    }

    fn arguments(self) -> Vec<(&'static str, Argument)> {
        // Survives the loss of a minority of the brokers, and measured no slower for us than classic.
        let mut arguments = vec![("x-queue-type", Argument::Text("quorum"))];
        match self {
            Self::Dead => arguments.extend([
                // Listing takes letters and puts them back, which counts as a delivery; a letter must survive any number of
                // looks. 3.x has no way to say "unlimited" explicitly, so: more than anyone will look.
                ("x-delivery-limit", Argument::Number(1_000_000)),
                // A flood of broken messages must not fill the disk under the work. The oldest goes first: whoever sent it has
                // not seen it confirmed by us and has it still.
                ("x-max-length", Argument::Number(100_000)),
                ("x-overflow", Argument::Text("drop-head")),
                // No dead-letter exchange: what falls out of here is gone, or it would go round in a circle.
            ]),
            Self::Plan
            | Self::Emergency(_)
            | Self::Bulk(_)
            | Self::DrillPlan
            | Self::Drill(_)
            | Self::Notice => arguments.extend([
                // Said explicitly because the default differs: none in 3.x, 20 in 4.x. A task that took 20 processes with it
                // will take the next one too; upkeep finds the work again in PostgreSQL.
                ("x-delivery-limit", Argument::Number(20)),
                ("x-dead-letter-exchange", Argument::Text(Exchange::Dead.name())),
            ]),
            Self::AlertRequests | Self::FeedbackEvents => arguments.extend([
                ("x-delivery-limit", Argument::Number(20)),
                ("x-dead-letter-exchange", Argument::Text(Exchange::Dead.name())),
                // Others' words exist nowhere else: the broker itself must see the dead letter stored before it lets go.
                ("x-dead-letter-strategy", Argument::Text("at-least-once")),
                // Required by at-least-once; with the policy's bound it tells a sender "no" instead of dropping the oldest.
                ("x-overflow", Argument::Text("reject-publish")),
            ]),
        }
        arguments
    }
}

/// The value of a queue's argument, in the form both AMQP and JSON can say.
#[derive(Debug, Clone, Copy)]
enum Argument {
    Text(&'static str),
    Number(i32),
}

impl Argument {
    fn amqp(self) -> AMQPValue {
        match self {
            Self::Text(text) => AMQPValue::LongString(LongString::from(text)),
            Self::Number(number) => AMQPValue::LongInt(number),
        }
    }

    fn json(self) -> Value {
        match self {
            Self::Text(text) => text.into(),
            Self::Number(number) => number.into(),
        }
    }
}

/// Declares everything on `channel`. Harmless when all of it exists; an error names what differs.
pub(super) async fn declare(channel: &lapin::Channel) -> Result<(), DeclareError> {
    for exchange in Exchange::DECLARED {
        let named = |source| DeclareError { what: format!("exchange {}", exchange.name()), source };
        // Durable: it must be there when the broker comes back, before we are.
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let kind = match exchange.kind() {
            "fanout" => ExchangeKind::Fanout,
            "topic" => ExchangeKind::Topic,
            _ => ExchangeKind::Direct,
        };
        channel
            .exchange_declare(exchange.name().into(), kind, options, FieldTable::default())
            .await
            .map_err(named)?;
    }
    for queue in Queue::all() {
        let named = |source| DeclareError { what: format!("queue {}", queue.name()), source };
        let mut arguments = FieldTable::default();
        for (name, value) in queue.arguments() {
            arguments.insert(name.into(), value.amqp());
        }
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.name().into(), options, arguments).await.map_err(named)?;
        let (exchange, key) = queue.bound_to();
        let bound = channel.queue_bind(
            queue.name().into(),
            exchange.name().into(),
            key.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        bound.await.map_err(named)?;
    }
    Ok(())
}

/// What the broker would not declare.
#[derive(Debug, thiserror::Error)]
#[error("cannot declare {what}: {source}")]
pub struct DeclareError {
    what: String,
    source: lapin::Error,
}

/// The users whose permissions we know: name, configure, write, read.
///
/// An agency's system gets a user of its own, with write on `^alerts\.requests$` and nothing else; it receives answers on
/// `amq.rabbitmq.reply-to`, which needs no permission.
const PERMISSIONS: [(&str, &str, &str, &str); 2] = [
    // Ours declares all of the above, and answers through the default exchange.
    (
        "loa",
        r"^(loa\..*|plan|push\..*|notice|dead|alerts\.requests|feedback\.events|amq\.gen.*)$",
        r"^(amq\.default|loa\..*|plan|push\..*|notice|dead|alerts\.requests|feedback\.events|amq\.gen.*)$",
        r"^(loa\..*|plan|push\..*|notice|dead|alerts\.requests|feedback\.events|amq\.gen.*)$",
    ),
    // The feedback system may tell and nothing else.
    ("feedback", "^$", r"^feedback\.events$", "^$"),
];

/// The same topology in the broker's own form, importable into a virtual host.
///
/// It names users only in their permissions: an imported user without a password would lose the one it has (seen with 3.10), and
/// passwords do not belong here. So create the users first, then import.
pub fn definitions(vhost: &str) -> Value {
    let exchanges = Exchange::DECLARED.map(|exchange| {
        json!({
            "name": exchange.name(), "vhost": vhost, "type": exchange.kind(),
            "durable": true, "auto_delete": false, "internal": false, "arguments": {},
        })
    });
    let queues = Queue::all().into_iter().map(|queue| {
        let arguments =
            queue.arguments().into_iter().map(|(name, value)| (name.to_owned(), value.json()));
        json!({
            "name": queue.name(), "vhost": vhost, "durable": true, "auto_delete": false,
            "arguments": arguments.collect::<serde_json::Map<_, _>>(),
        })
    });
    let bindings = Queue::all().into_iter().map(|queue| {
        let (exchange, key) = queue.bound_to();
        json!({
            "source": exchange.name(), "vhost": vhost, "destination": queue.name(),
            "destination_type": "queue", "routing_key": key, "arguments": {},
        })
    });
    let permissions = PERMISSIONS.map(|(user, configure, write, read)| {
        json!({ "user": user, "vhost": vhost, "configure": configure, "write": write, "read": read })
    });
    json!({
        "vhosts": [{ "name": vhost }],
        "permissions": permissions,
        "exchanges": exchanges,
        "queues": queues.collect::<Vec<_>>(),
        "bindings": bindings.collect::<Vec<_>>(),
        // A policy and not an argument, because an operator may want another figure: a queue's arguments cannot change.
        "policies": [{
            "name": "loa-foreign-bound", "vhost": vhost, "apply-to": "queues", "priority": 0,
            "pattern": r"^(alerts\.requests|feedback\.events)$",
            "definition": { "max-length-bytes": 1_073_741_824 },
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_in_the_repository_are_the_ones_we_declare() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/queues/definitions.json");
        let ours = definitions("/");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let theirs: Value = serde_json::from_str(&text).unwrap_or_default();
        assert!(ours == theirs, "queues/definitions.json must be:\n{ours:#}");
    }

    #[test]
    fn every_queue_says_its_delivery_limit_and_all_but_the_last_resort_have_a_dead_letter_exchange()
    {
        for queue in Queue::all() {
            let arguments = queue.arguments();
            let has = |name: &str| arguments.iter().any(|(known, _)| *known == name);
            assert!(has("x-delivery-limit"), "{}", queue.name());
            assert_eq!(has("x-dead-letter-exchange"), queue != Queue::Dead, "{}", queue.name());
        }
    }

    #[test]
    fn the_definitions_hold_no_password() {
        let text = definitions("/").to_string();
        assert!(!text.contains("password"), "{text}");
        assert!(
            !text.contains("\"users\""),
            "importing a user without a password wipes the one it has"
        );
    }
}
