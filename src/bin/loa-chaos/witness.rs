//! What is known of a broadcast that ended: our ledger, and beside it what the simulators saw.

use anyhow::Context as _;
use loa::domain::broadcast::{Lane, Outcome};
use loa::domain::device::Provider;
use loa::stage::{Stage, Timeline};
use sqlx::Row as _;

use crate::round::{Stop, Told};
use crate::world::milliseconds;

/// All that a broadcast is judged by.
#[derive(Clone, Debug)]
pub struct Evidence {
    pub lane: Lane,
    pub audience: i64,
    /// Of how many our ledger says what became of them, and of how many it does not.
    pub outcomes: i64,
    pub pending: i64,
    pub devices: Devices,
    /// Different (id, version) that the simulators could read.
    pub versions: i64,
    /// Whether pushes came of which they read every one.
    pub readable: bool,
    /// Milliseconds since 1970, as all that follow.
    pub approved_ms: f64,
    pub completed_ms: f64,
    pub expires_ms: f64,
    pub last_request_ms: Option<f64>,
    pub timeline: Timeline,
    pub stopped: Option<Stop>,
}

/// The installed devices, each with what the simulators saw of it beside our outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// That saw no push.
    pub unseen: i64,
    /// Of these: we say that their provider accepted it.
    pub unseen_accepted: i64,
    /// That saw more than one.
    pub doubled: i64,
}

impl Evidence {
    /// Asks the simulators and the database.
    pub async fn of(stage: &Stage, told: &Told) -> anyhow::Result<Self> {
        let Told { on_air, progress, stopped } = told;
        let report = stage.simulators.report(&on_air.collapse).await?;
        let timeline = stage.simulators.timeline(&on_air.collapse, None).await?;
        let mut devices = Devices::default();
        for provider in Provider::ALL {
            let seen = stage.simulators.seen(&on_air.collapse, provider).await?;
            devices.add(&seen, &ledger(stage, &on_air.broadcast, provider).await?);
        }
        let read = |provider: &Provider| report.per_provider.get(provider.as_str());
        let completed = progress.completed_at.context("it has not ended")?;
        Ok(Self {
            lane: progress.lane,
            audience: progress.audience,
            outcomes: progress.tally.outcomes(),
            pending: progress.tally.pending,
            devices,
            versions: report.versions,
            readable: [Provider::Fcm, Provider::Apns]
                .iter()
                .filter_map(read)
                .any(|arrived| arrived.accepted > 0),
            approved_ms: on_air.approved_unix_ms(),
            completed_ms: milliseconds(completed),
            expires_ms: milliseconds(progress.expires),
            last_request_ms: report.last_request_unix_ms,
            timeline,
            stopped: *stopped,
        })
    }
}

/// A range of our ledger: its first number, and a byte for each.
type Range = (i64, Vec<u8>);

async fn ledger(stage: &Stage, broadcast: &str, provider: Provider) -> anyhow::Result<Vec<Range>> {
    let all = "select first, ledger from batch where broadcast_id = $1::uuid and provider = $2 and ledger is not null";
    let rows = sqlx::query(all).bind(broadcast).bind(provider.code()).fetch_all(&stage.pool);
    let range = |row: sqlx::postgres::PgRow| Ok((row.try_get("first")?, row.try_get("ledger")?));
    rows.await?.into_iter().map(range).collect()
}

impl Devices {
    /// Adds a provider's. How often each was `seen` comes in the order of the file they were imported from, and the import numbers
    /// them in that order, from 1.
    fn add(&mut self, seen: &[u8], ledger: &[Range]) {
        for times in seen {
            self.unseen += i64::from(*times == 0);
            self.doubled += i64::from(*times > 1);
        }
        for (first, outcomes) in ledger {
            for (number, outcome) in (*first..).zip(outcomes) {
                // One of whom the simulators do not know saw nothing.
                let place = usize::try_from(number - 1).ok();
                let saw = place.and_then(|place| seen.get(place)).is_some_and(|times| *times > 0);
                self.unseen_accepted += i64::from(*outcome == Outcome::Accepted.byte() && !saw);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_was_not_seen_is_not_made_up_for_by_one_that_was() {
        let [accepted, stopped] = [Outcome::Accepted.byte(), Outcome::Stopped.byte()];
        let judged = |seen: &[u8], ledger: &[Range]| {
            let mut devices = Devices::default();
            devices.add(seen, ledger);
            (devices.unseen, devices.unseen_accepted, devices.doubled)
        };
        let ledger = [(1, vec![accepted, stopped]), (3, vec![accepted, accepted])];
        assert_eq!(judged(&[1, 0, 1, 1], &ledger), (1, 0, 0));
        assert_eq!(judged(&[0, 1, 1, 2], &ledger), (1, 1, 1));
        assert_eq!(judged(&[1, 0, 1], &ledger), (1, 1, 0), "a number beyond the simulators' fleet");
    }
}
