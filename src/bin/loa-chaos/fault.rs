//! What can go wrong, drawn by chance: each fault is a handful of acts at moments of a round, and always ends in the act that mends it.

use std::fmt;
use std::time::Duration;

use loa::domain::device::Provider;
use loa::stage::Dice;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::scale::{Bounds, DISPATCHERS};

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
    /// Google's access tokens become worthless.
    RevokeTokens,
}

impl Kind {
    /// A fault by chance; how often each comes is here.
    fn draw(dice: &mut Dice) -> Self {
        use Answer as A;
        let server = dice.one_of(&[Server::Database, Server::Broker]);
        let provider = dice.one_of(&[Provider::Fcm, Provider::Apns, Provider::WebPush]);
        let answer = dice.one_of(&[
            A::TooMany,
            A::Unavailable,
            A::InternalError,
            A::TooLate,
            A::Unanswered,
            A::Slow,
            A::ResetAfterAcceptance,
            A::RefusedStream,
            A::GoAway,
            A::GoAwayUnanswered,
            A::Disconnect,
        ]);
        dice.one_of(&[
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
        ])
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

    /// How many dispatchers lose their claim on the work in their hands, and so may send it twice: the one that is killed; all of
    /// them when the database is lost, for the lock goes with the connection. What the broker gives out again after it was lost is
    /// still claimed, and nobody sends it.
    pub fn dispatchers(self) -> u32 {
        match self {
            Self::KillDispatch => 1,
            Self::DatabaseRestart
            | Self::DatabaseSessionsEnded
            | Self::DiskFull
            | Self::Cut(Server::Database)
            | Self::Hang(Server::Database)
            | Self::HangPresent(Server::Database) => DISPATCHERS,
            Self::KillServe
            | Self::BrokerRestart
            | Self::BrokerWipe
            | Self::BrokerConnectionsClosed
            | Self::Cut(Server::Broker)
            | Self::Hang(Server::Broker)
            | Self::HangPresent(Server::Broker)
            | Self::Answers(..)
            | Self::CredentialsRefused(_)
            | Self::NoOAuth => 0,
        }
    }

    /// The provider that refuses because of it, whatever it is asked.
    pub fn refuser(self) -> Option<Provider> {
        match self {
            Self::CredentialsRefused(provider) => Some(provider),
            Self::NoOAuth => Some(Provider::Fcm),
            _ => None,
        }
    }

    /// Is it a provider's doing, which hits nothing unless a request comes?
    pub fn meets_requests(self) -> bool {
        matches!(self, Self::Answers(..)) || self.refuser().is_some()
    }
}

impl Fault {
    /// One to three of them, on different things, within `span`. Where the `disk` cannot be filled the database is restarted instead;
    /// how often that was.
    pub fn draw(dice: &mut Dice, span: Duration, disk: bool) -> (Vec<Self>, u32) {
        let count = dice.between(1, 3) as usize;
        let mut faults: Vec<Self> = Vec::new();
        while faults.len() < count {
            let kind = Kind::draw(dice);
            let at = dice.moment(Duration::from_millis(100), span);
            let lasts = dice.moment(Duration::from_millis(200), Duration::from_secs(5));
            if faults.iter().all(|fault| fault.kind.subject() != kind.subject()) {
                faults.push(Self { kind, at, lasts });
            }
        }
        faults.sort_by_key(|fault| fault.at);
        let mut skipped = 0;
        for fault in faults.iter_mut().filter(|fault| fault.kind == Kind::DiskFull && !disk) {
            fault.kind = Kind::DatabaseRestart;
            skipped += 1;
        }
        (faults, skipped)
    }

    /// What is done, and when: first the harm, then what mends it.
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
                    Act::Settings(json!({provider.as_str(): {"link": {"credentials": how}}}))
                };
                let how = if dice.chance(50) { "unauthorized" } else { "forbidden" };
                vec![(at, as_if(how)), (end, as_if("ok"))]
            }
            Kind::NoOAuth => vec![
                // The token at hand is good for an hour; without this nobody would ask for another one.
                (at, Act::RevokeTokens),
                (at, Act::Settings(json!({"oauth": {"fail_with": 503}}))),
                (end, Act::Settings(json!({"oauth": {"fail_with": 0}}))),
            ],
        }
    }
}

/// A fault as it came.
pub struct Struck {
    pub fault: Fault,
    /// When it hit something, milliseconds since 1970; `None`: it missed, and explains nothing.
    pub at_unix_ms: Option<f64>,
    /// Requests that met it, where it is a provider's doing.
    pub requests: i64,
    /// What that provider had refused until then.
    pub refused_before: i64,
}

impl Struck {
    /// One that is still to come.
    pub fn not_yet(fault: Fault) -> Self {
        Self { fault, at_unix_ms: None, requests: 0, refused_before: 0 }
    }

    /// Pushes whose sender cannot know whether they were accepted, at most.
    pub fn ambiguous(&self, bounds: &Bounds) -> i64 {
        match self.fault.kind {
            Kind::Answers(provider, answer) if self.at_unix_ms.is_some() => {
                answer.ambiguous(self.requests, bounds.streams(provider))
            }
            _ => 0,
        }
    }

    /// Dispatchers that may repeat what they had in hand of a broadcast that was complete at this moment.
    pub fn dispatchers(&self, completed_unix_ms: f64) -> i64 {
        let hit = self.at_unix_ms.is_some_and(|at| at <= completed_unix_ms);
        if hit { self.fault.kind.dispatchers().into() } else { 0 }
    }
}

impl fmt::Display for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)?;
        if self.at_unix_ms.is_none() { f.write_str(" (missed)") } else { Ok(()) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.as_secs_f64();
        match self.kind {
            Kind::Answers(provider, answer) => {
                write!(f, "{} {answer:?} @{at:.1}s", provider.as_str())
            }
            Kind::CredentialsRefused(provider) => {
                write!(f, "{} CredentialsRefused @{at:.1}s", provider.as_str())
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
            let (faults, skipped) = Fault::draw(&mut dice, Duration::from_secs(6), true);
            assert_eq!(skipped, 0);
            assert!((1..=3).contains(&faults.len()));
            let mut subjects: Vec<u8> = faults.iter().map(|fault| fault.kind.subject()).collect();
            subjects.sort_unstable();
            subjects.dedup();
            assert_eq!(subjects.len(), faults.len());
            seen.extend(faults.iter().map(|fault| format!("{:?}", fault.kind)));
        }
        // 13 kinds, of which some are of two servers, three providers and eleven answers.
        assert_eq!(seen.len(), 8 + 3 * 2 + 3 * 11 + 3 + 1, "{seen:?}");
    }
    #[test]
    fn a_disk_that_cannot_be_filled_is_a_restart_and_counted_and_changes_no_other_draw() {
        let (mut full, mut counted) = (0, 0);
        for round in 0..400 {
            let draw =
                |disk| Fault::draw(&mut Dice::of_round(1, round), Duration::from_secs(6), disk);
            let ((with, _), (without, skipped)) = (draw(true), draw(false));
            counted += skipped;
            for (one, other) in with.iter().zip(&without) {
                let restarted = one.kind == Kind::DiskFull;
                full += u32::from(restarted);
                assert_eq!(other.kind, if restarted { Kind::DatabaseRestart } else { one.kind });
            }
        }
        assert_eq!(counted, full);
        assert!(full > 0);
    }
}
