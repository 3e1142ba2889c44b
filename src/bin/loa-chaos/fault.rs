//! What can go wrong, drawn by chance: each fault is a handful of acts at moments of a round, and always ends in the act that mends it.

use std::fmt;
use std::time::Duration;

use loa::stage::Dice;
use serde_json::{Value, json};

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// When it begins, from the approval on.
    pub at: Duration,
    /// How long until it is mended.
    pub lasts: Duration,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// SIGKILL of a dispatcher; another one is started.
    KillDispatch,
    /// SIGKILL of `loa serve`; it is started again.
    KillServe,
    /// The broker is stopped, and started again.
    BrokerRestart,
    /// The same, and all that it knew is gone.
    BrokerWipe,
    /// The database is stopped, and started again.
    DatabaseRestart,
    /// Its administrator ends every session of ours.
    DatabaseSessionsEnded,
    /// The broker's administrator closes every connection of ours.
    BrokerConnectionsClosed,
    /// The network cuts every connection to the server.
    Cut(Server),
    /// Packets to and from the server are swallowed.
    Hang(Server),
    /// Packets of the connections of now are swallowed for ever; new connections work.
    HangPresent(Server),
    /// The disk of the database is full.
    DiskFull,
    /// A provider answers otherwise than it should.
    Answers(Provider, Answer),
    /// A provider refuses our credentials.
    CredentialsRefused(Provider),
    /// Google's token endpoint is out of order.
    NoOAuth,
}

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// PostgreSQL.
    Database,
    /// RabbitMQ.
    Broker,
}

/// Which provider, in the simulators' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// FCM.
    Fcm,
    /// APNs.
    Apns,
    /// Web Push.
    WebPush,
}

/// What a provider does instead of answering as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 429 with a second's Retry-After.
    TooMany,
    /// 503.
    Unavailable,
    /// 500.
    InternalError,
    /// Accepted, but the answer comes after we have given up.
    TooLate,
    /// Accepted, and the answer takes a second.
    Slow,
    /// Accepted, and the stream is reset instead of an answer.
    ResetAfterAcceptance,
    /// RST_STREAM: not processed.
    RefusedStream,
    /// GOAWAY after this answer.
    GoAway,
    /// GOAWAY without an answer: not processed.
    GoAwayUnanswered,
    /// The connection breaks.
    Disconnect,
}

/// Something done at a moment.
#[derive(Clone, Debug)]
pub enum Act {
    /// SIGKILL of one of the dispatchers, by its place among the running.
    KillDispatch(u32),
    /// A dispatcher is started.
    LaunchDispatch,
    /// SIGKILL.
    KillServe,
    /// It is started.
    LaunchServe,
    /// `scripts/services VERB NAME`.
    Order(&'static str, Server),
    /// What the stopped broker knew is deleted.
    ForgetBroker,
    /// The broker's virtual host is made, as its administrator would after a loss.
    MakeVhost,
    /// The administrator ends our sessions.
    EndSessions,
    /// The administrator closes our connections.
    CloseConnections,
    /// Cuts a wire.
    Cut(Server),
    /// A wire hangs.
    Hang(Server),
    /// What is connected hangs.
    HangPresent(Server),
    /// It goes on.
    Resume(Server),
    /// Fills the database's file system.
    FillDisk,
    /// Makes room in it.
    FreeDisk,
    /// Adds a rule to the simulators' script.
    Script(Value),
    /// Changes the simulators' settings.
    Settings(Value),
}

/// Requests in flight on one connection, which all go with it.
const STREAMS: u32 = 225;

impl Kind {
    /// A fault by chance; how often each comes is here.
    fn draw(dice: &mut Dice, disk: bool) -> Self {
        use Answer as A;
        let server = dice.one_of(&[Server::Database, Server::Broker]);
        let provider = dice.one_of(&[Provider::Fcm, Provider::Apns, Provider::WebPush]);
        let answer = dice.one_of(&[
            A::TooMany,
            A::Unavailable,
            A::InternalError,
            A::TooLate,
            A::Slow,
            A::ResetAfterAcceptance,
            A::RefusedStream,
            A::GoAway,
            A::GoAwayUnanswered,
            A::Disconnect,
        ]);
        let drawn = dice.one_of(&[
            Self::KillDispatch,
            Self::KillDispatch,
            Self::KillDispatch,
            Self::KillServe,
            Self::BrokerRestart,
            Self::BrokerWipe,
            Self::DatabaseRestart,
            Self::DatabaseSessionsEnded,
            Self::BrokerConnectionsClosed,
            Self::Cut(server),
            Self::Hang(server),
            Self::HangPresent(server),
            Self::DiskFull,
            Self::Answers(provider, answer),
            Self::Answers(provider, answer),
            Self::Answers(provider, answer),
            Self::Answers(provider, answer),
            Self::CredentialsRefused(provider),
            Self::NoOAuth,
        ]);
        if drawn == Self::DiskFull && !disk { Self::DatabaseRestart } else { drawn }
    }

    /// Two faults of one of these at once would be mended by each other's end.
    fn subject(self) -> u8 {
        match self {
            Self::KillDispatch => 0,
            Self::KillServe => 1,
            Self::BrokerRestart
            | Self::BrokerWipe
            | Self::BrokerConnectionsClosed
            | Self::Cut(Server::Broker)
            | Self::Hang(Server::Broker)
            | Self::HangPresent(Server::Broker) => 2,
            Self::DatabaseRestart
            | Self::DatabaseSessionsEnded
            | Self::DiskFull
            | Self::Cut(Server::Database)
            | Self::Hang(Server::Database)
            | Self::HangPresent(Server::Database) => 3,
            Self::Answers(provider, _) => 4 + provider as u8,
            Self::CredentialsRefused(provider) => 7 + provider as u8,
            Self::NoOAuth => 7,
        }
    }

    /// Does a process end by it, or its claim on the work in its hands? (Whoever lost its database has lost its lock.)
    pub fn kills(self) -> bool {
        match self {
            Self::KillDispatch
            | Self::DatabaseRestart
            | Self::DatabaseSessionsEnded
            | Self::DiskFull
            | Self::Cut(Server::Database)
            | Self::Hang(Server::Database)
            | Self::HangPresent(Server::Database) => true,
            Self::KillServe
            | Self::BrokerRestart
            | Self::BrokerWipe
            | Self::BrokerConnectionsClosed
            | Self::Cut(Server::Broker)
            | Self::Hang(Server::Broker)
            | Self::HangPresent(Server::Broker)
            | Self::Answers(..)
            | Self::CredentialsRefused(_)
            | Self::NoOAuth => false,
        }
    }
}

impl Fault {
    /// One to three of them, on different things, within `span`.
    pub fn draw(dice: &mut Dice, span: Duration, disk: bool) -> Vec<Self> {
        let count = dice.between(1, 3) as usize;
        let mut faults: Vec<Self> = Vec::new();
        while faults.len() < count {
            let kind = Kind::draw(dice, disk);
            let at = dice.moment(Duration::from_millis(100), span);
            let lasts = dice.moment(Duration::from_millis(200), Duration::from_secs(5));
            if faults.iter().all(|fault| fault.kind.subject() != kind.subject()) {
                faults.push(Self { kind, at, lasts });
            }
        }
        faults.sort_by_key(|fault| fault.at);
        faults
    }

    /// Pushes whose sender cannot know whether they were accepted, at most, of `devices`.
    pub fn ambiguous(&self, devices: u32) -> u32 {
        match self.kind {
            Kind::Answers(_, answer) => match answer {
                Answer::TooLate | Answer::ResetAfterAcceptance => answer.times(devices),
                // The others on that connection had been accepted, perhaps.
                Answer::Disconnect | Answer::GoAway | Answer::GoAwayUnanswered => {
                    answer.times(devices) * STREAMS
                }
                Answer::TooMany
                | Answer::Unavailable
                | Answer::InternalError
                | Answer::Slow
                | Answer::RefusedStream => 0,
            },
            _ => 0,
        }
    }

    /// What is done, and when.
    pub fn acts(&self, dice: &mut Dice, devices: u32) -> Vec<(Duration, Act)> {
        let (at, end) = (self.at, self.at + self.lasts);
        match self.kind {
            Kind::KillDispatch => {
                vec![(at, Act::KillDispatch(dice.below(16))), (end, Act::LaunchDispatch)]
            }
            Kind::KillServe => vec![(at, Act::KillServe), (end, Act::LaunchServe)],
            Kind::BrokerRestart => vec![
                (at, Act::Order("stop", Server::Broker)),
                (end, Act::Order("start", Server::Broker)),
            ],
            Kind::BrokerWipe => vec![
                (at, Act::Order("stop", Server::Broker)),
                (at, Act::ForgetBroker),
                (end, Act::Order("start", Server::Broker)),
                (end, Act::MakeVhost),
            ],
            Kind::DatabaseRestart => vec![
                (at, Act::Order("stop", Server::Database)),
                (end, Act::Order("start", Server::Database)),
            ],
            Kind::DatabaseSessionsEnded => vec![(at, Act::EndSessions)],
            Kind::BrokerConnectionsClosed => vec![(at, Act::CloseConnections)],
            Kind::Cut(server) => vec![(at, Act::Cut(server))],
            Kind::Hang(server) => {
                // Also longer than any question is waited for.
                vec![(at, Act::Hang(server)), (at + self.lasts * 2, Act::Resume(server))]
            }
            Kind::HangPresent(server) => vec![(at, Act::HangPresent(server))],
            Kind::DiskFull => vec![
                (at, Act::FillDisk),
                (end, Act::FreeDisk),
                (end, Act::Order("start", Server::Database)),
            ],
            Kind::Answers(provider, answer) => {
                vec![(at, Act::Script(answer.rule(provider, answer.times(devices))))]
            }
            Kind::CredentialsRefused(provider) => {
                let as_if = |how: &str| {
                    Act::Settings(json!({provider.word(): {"link": {"credentials": how}}}))
                };
                let how = if dice.chance(50) { "unauthorized" } else { "forbidden" };
                vec![(at, as_if(how)), (end, as_if("ok"))]
            }
            Kind::NoOAuth => vec![
                (at, Act::Settings(json!({"oauth": {"fail_with": 503}}))),
                (end, Act::Settings(json!({"oauth": {"fail_with": 0}}))),
            ],
        }
    }
}

impl Provider {
    /// Its name at the simulators.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fcm => "fcm",
            Self::Apns => "apns",
            Self::WebPush => "webpush",
        }
    }
}

impl Answer {
    /// How many requests are answered so.
    fn times(self, devices: u32) -> u32 {
        match self {
            Self::TooMany | Self::Unavailable | Self::InternalError => (devices / 200).max(5),
            Self::TooLate | Self::ResetAfterAcceptance => (devices / 1000).max(3),
            Self::Slow | Self::RefusedStream => (devices / 100).max(10),
            Self::GoAway | Self::GoAwayUnanswered | Self::Disconnect => 3,
        }
    }

    fn rule(self, provider: Provider, times: u32) -> Value {
        let (busy, broken) = match provider {
            Provider::Fcm => ("UNAVAILABLE", "INTERNAL"),
            Provider::Apns => ("ServiceUnavailable", "InternalServerError"),
            Provider::WebPush => ("503", "500"),
        };
        let many = match provider {
            Provider::Fcm => "QUOTA_EXCEEDED",
            Provider::Apns => "TooManyRequests",
            Provider::WebPush => "429",
        };
        let mut rule = match self {
            Self::TooMany => {
                json!({"answer": {"status": 429, "error": many, "retry_after": "1"}})
            }
            Self::Unavailable => json!({"answer": {"status": 503, "error": busy}}),
            Self::InternalError => json!({"answer": {"status": 500, "error": broken}}),
            Self::TooLate => json!({"after_acceptance": true, "delay_ms": 6000}),
            Self::Slow => json!({"after_acceptance": true, "delay_ms": 1000}),
            Self::ResetAfterAcceptance => {
                json!({"after_acceptance": true, "reset": "INTERNAL_ERROR"})
            }
            Self::RefusedStream => json!({"reset": "REFUSED_STREAM"}),
            Self::GoAway => json!({"goaway": {"answer_this": true}, "skip": 200}),
            Self::GoAwayUnanswered => json!({"goaway": {"answer_this": false}, "skip": 200}),
            Self::Disconnect => json!({"disconnect": true, "skip": 200}),
        };
        rule["provider"] = json!(provider.word());
        rule["times"] = json!(times);
        rule
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.as_secs_f64();
        match self.kind {
            Kind::Answers(provider, answer) => {
                write!(f, "{} {answer:?} @{at:.1}s", provider.word())
            }
            Kind::CredentialsRefused(provider) => {
                write!(f, "{} CredentialsRefused @{at:.1}s", provider.word())
            }
            kind => write!(f, "{kind:?} @{at:.1}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_every_fault_sooner_or_later_and_no_two_on_one_thing() {
        let mut seen = std::collections::BTreeSet::new();
        for round in 0..400 {
            let mut dice = Dice::of_round(1, round);
            let faults = Fault::draw(&mut dice, Duration::from_secs(6), true);
            assert!((1..=3).contains(&faults.len()));
            let mut subjects: Vec<u8> = faults.iter().map(|fault| fault.kind.subject()).collect();
            subjects.sort_unstable();
            subjects.dedup();
            assert_eq!(subjects.len(), faults.len());
            seen.extend(faults.iter().map(|fault| format!("{:?}", fault.kind)));
        }
        // 13 kinds, of which some are of two servers, three providers and ten answers.
        assert_eq!(seen.len(), 8 + 3 * 2 + 3 * 10 + 3 + 1, "{seen:?}");
    }
}
