//! Dispatchers that are alive and what they hold; what waits in the database.

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::wording::{self, Tongue};
use crate::store::{StoreError, audit, liveness, operate, outbox};

/// What is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkView {
    /// Who sends.
    pub dispatchers: Vec<DispatcherLine>,
    /// The epoch that all of them are to obey.
    pub epoch: String,
    /// What was stored and has not reached the broker.
    pub outbox: String,
    /// How far the audit trail was signed.
    pub audit: String,
}

/// One dispatcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispatcherLine {
    /// Which machine.
    pub host: String,
    /// Which release.
    pub release: String,
    /// How long it has been alive.
    pub since: String,
    /// The last epoch it has obeyed.
    pub epoch: String,
    /// That is not yet the one that was asked for.
    pub is_behind: bool,
    /// Requests in flight.
    pub in_flight: String,
    /// Batches in its hands.
    pub batches: String,
    /// What it has parked.
    pub parked: Vec<String>,
}

impl WorkView {
    /// Asks the database.
    pub async fn look(
        conn: &mut PgConnection,
        now: OffsetDateTime,
        t: Tongue,
    ) -> Result<Self, StoreError> {
        let number = |value: i64| wording::number(value, t);
        let epoch = operate::epoch(conn).await?;
        let in_hand = operate::in_hand(conn).await?;
        let live = liveness::live_dispatchers(&mut *conn).await?;
        let dispatchers = live.iter().map(|one| DispatcherLine {
            host: one.host.clone(),
            release: one.release.clone(),
            since: wording::span(now - one.started_at, t),
            epoch: number(one.acked_epoch),
            is_behind: one.acked_epoch < epoch,
            in_flight: number(one.in_flight.into()),
            batches: number(in_hand.get(&one.id).copied().unwrap_or(0)),
            parked: one.parked_providers().map(|(name, why)| format!("{name}: {why}")).collect(),
        });
        Ok(Self {
            dispatchers: dispatchers.collect(),
            epoch: number(epoch),
            outbox: backlog(outbox::backlog(conn).await?, t),
            audit: signed(audit::tail(conn).await?, now, t),
        })
    }
}

fn backlog(waiting: outbox::Backlog, t: Tongue) -> String {
    if waiting.rows == 0 {
        return t.pick("không có gì chờ", "nothing waits").to_owned();
    }
    let oldest = wording::span(time::Duration::seconds_f64(waiting.age_seconds.max(0.0)), t);
    let rows = wording::number(waiting.rows, t);
    t.pick(
        format!("{rows} việc chờ, lâu nhất {oldest}"),
        format!("{rows} tasks wait, the oldest for {oldest}"),
    )
}

fn signed(tail: audit::Tail, now: OffsetDateTime, t: Tongue) -> String {
    let since = wording::number(tail.since, t);
    match tail.signed {
        None => t.pick(
            format!("chưa ký mốc nào; {since} mục"),
            format!("no checkpoint yet; {since} entries"),
        ),
        Some((serial, at)) => {
            let (serial, ago) = (wording::number(serial, t), wording::span(now - at, t));
            t.pick(
                format!("mốc {serial} ký {ago} trước; {since} mục từ đó"),
                format!("checkpoint {serial} signed {ago} ago; {since} entries since"),
            )
        }
    }
}
