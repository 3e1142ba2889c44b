//! Who is alive: a session advisory lock on a direct connection, freed by the server the moment its holder dies.
//!
//! The connection must not pass a pooler. Its ping brings back the database's clock and the control epoch.

use std::str::FromStr as _;
use std::time::Duration;

use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgExecutor};
use time::OffsetDateTime;

use super::StoreError;
use super::broadcast::Steering;
use crate::domain::id::{BroadcastId, DispatcherId};

/// What a dispatcher says of itself.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// Which machine.
    pub host: String,
    /// Which release.
    pub release: String,
    /// Names of the seal keys it trusts.
    pub trusted_keys: Vec<String>,
}

/// The lock that says "I am alive".
#[derive(Debug)]
pub struct Liveness {
    conn: PgConnection,
    id: DispatcherId,
    lock_key: i64,
}

/// What a ping brings back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// The database's clock when it answered.
    pub now: OffsetDateTime,
    /// Raised by every pause, resume and stop.
    pub epoch: i64,
}

impl Liveness {
    /// Takes the lock and announces the process.
    pub async fn open(url: &str, announcement: &Announcement) -> Result<Self, StoreError> {
        // The server must notice a vanished peer within seconds, whatever its own defaults.
        let options = PgConnectOptions::from_str(url)?.application_name("loa liveness").options([
            ("tcp_keepalives_idle", "1"),
            ("tcp_keepalives_interval", "1"),
            ("tcp_keepalives_count", "2"),
            ("statement_timeout", "5s"),
            // Where the network swallows us but still answers the server (a proxy that hangs): pinged four times a second, a session
            // that is silent for so long is nobody's.
            ("idle_session_timeout", "3s"),
        ]);
        let mut conn = options.connect().await?;
        let id = DispatcherId::new();
        // The low 63 bits of a random number: two processes never meet in it.
        let lock_key = i64::from_be_bytes(first_eight(uuid::Uuid::new_v4())) & i64::MAX;
        sqlx::query!("select pg_advisory_lock($1)", lock_key).execute(&mut conn).await?;
        sqlx::query!(
            "insert into dispatcher (id, lock_key, host, release, trusted_keys) values ($1, $2, $3, $4, $5)",
            id.0,
            lock_key,
            announcement.host,
            announcement.release,
            &announcement.trusted_keys
        )
        .execute(&mut conn)
        .await?;
        Ok(Self { conn, id, lock_key })
    }

    /// The key of the lock: what claims name as their holder.
    pub fn lock_key(&self) -> i64 {
        self.lock_key
    }

    /// Which dispatcher.
    pub fn id(&self) -> DispatcherId {
        self.id
    }

    /// Asks the database for its clock and the epoch; an answer later than `limit` is no answer.
    pub async fn ping(&mut self, limit: Duration) -> Result<Pulse, StoreError> {
        let query = sqlx::query!(r#"select clock_timestamp() as "now!", epoch from control"#)
            .fetch_one(&mut self.conn);
        match tokio::time::timeout(limit, query).await {
            Ok(row) => row.map(|row| Pulse { now: row.now, epoch: row.epoch }).map_err(Into::into),
            Err(_) => Err(StoreError::Database(sqlx::Error::PoolTimedOut)),
        }
    }

    /// What officers ask of dispatchers now; asked on this connection, so that a busy pool cannot delay a stop.
    pub async fn steered(&mut self) -> Result<Vec<(BroadcastId, Steering)>, StoreError> {
        super::broadcast::steered(&mut self.conn).await
    }

    /// Says which epoch has been obeyed, up to which all that was stopped has been answered too (`None`: as far as was said before), how
    /// many requests are still in flight, and what is parked.
    pub async fn acknowledge(
        &mut self,
        epoch: i64,
        settled: Option<i64>,
        in_flight: i32,
        parked: &Value,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update dispatcher set acked_epoch = $2, settled_epoch = coalesce($3, settled_epoch), in_flight = $4, parked = $5,
                    seen_at = clock_timestamp() where id = $1",
            self.id.0,
            epoch,
            settled,
            in_flight,
            parked
        )
        .execute(&mut self.conn)
        .await?;
        Ok(())
    }

    /// Says anew what this process trusts.
    pub async fn announce(&mut self, trusted_keys: &[String]) -> Result<(), StoreError> {
        sqlx::query!(
            "update dispatcher set trusted_keys = $2 where id = $1",
            self.id.0,
            trusted_keys
        )
        .execute(&mut self.conn)
        .await?;
        Ok(())
    }

    /// Leaves in order: the row goes, then the lock.
    pub async fn close(mut self) -> Result<(), StoreError> {
        sqlx::query!("delete from dispatcher where id = $1", self.id.0)
            .execute(&mut self.conn)
            .await?;
        self.conn.close().await?;
        Ok(())
    }
}

fn first_eight(id: uuid::Uuid) -> [u8; 8] {
    let mut eight = [0; 8];
    eight.copy_from_slice(&id.as_bytes()[..8]);
    eight
}

/// A dispatcher that is alive.
#[derive(Clone, Debug)]
pub struct LiveDispatcher {
    /// Which.
    pub id: DispatcherId,
    /// Which machine.
    pub host: String,
    /// Names of the seal keys it trusts.
    pub trusted_keys: Vec<String>,
    /// The last epoch it has obeyed.
    pub acked_epoch: i64,
    /// Requests in flight when it last said so.
    pub in_flight: i32,
    /// Parked providers and why.
    pub parked: Value,
    /// Which release.
    pub release: String,
    /// When it began.
    pub started_at: OffsetDateTime,
}

impl LiveDispatcher {
    /// Parked providers, each with its reason.
    pub fn parked_providers(&self) -> impl Iterator<Item = (&str, String)> {
        self.parked.as_object().into_iter().flatten().map(|(provider, reason)| {
            let said = reason.as_str().map_or_else(|| reason.to_string(), str::to_owned);
            (provider.as_str(), said)
        })
    }
}

/// Every dispatcher that is alive now.
pub async fn live_dispatchers(
    executor: impl PgExecutor<'_>,
) -> Result<Vec<LiveDispatcher>, StoreError> {
    let rows = sqlx::query!(
        r#"select id as "id!", host as "host!", trusted_keys as "trusted_keys!", acked_epoch as "acked_epoch!",
                  in_flight as "in_flight!", parked as "parked!", release as "release!", started_at as "started_at!"
           from live_dispatcher order by host, started_at, id"#
    )
    .fetch_all(executor)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| LiveDispatcher {
            id: DispatcherId(row.id),
            host: row.host,
            trusted_keys: row.trusted_keys,
            acked_epoch: row.acked_epoch,
            in_flight: row.in_flight,
            parked: row.parked,
            release: row.release,
            started_at: row.started_at,
        })
        .collect())
}

/// Notes which dispatchers have lost their lock, and forgets those that lost it long ago.
pub async fn note_lost(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!(
        "update dispatcher d set lost_at = clock_timestamp()
         where d.lost_at is null and not exists (select from live_dispatcher l where l.id = d.id)"
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "delete from dispatcher where lost_at < clock_timestamp() - interval '10 seconds'"
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Dispatchers that lost their lock without a word and, for all we know, have not noticed: each goes on for at most `silence`
/// after losing it. By host and id.
pub async fn unaware_dispatchers(
    conn: &mut PgConnection,
    silence: Duration,
) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query!(
        "select d.host, d.id from dispatcher d
         where (d.lost_at is null or d.lost_at > clock_timestamp() - make_interval(secs => $1))
           and not exists (select from live_dispatcher l where l.id = d.id)",
        silence.as_secs_f64()
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| format!("{} {}", row.host, row.id)).collect())
}
