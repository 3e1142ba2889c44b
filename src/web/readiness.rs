//! Could an alert that came now be taken and broadcast, and if not, why: the one answer, for `/readyz` and for the operator's page.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use super::problem::Said;
use crate::approval::Approval;
use crate::domain::wording::{Tongue, span};
use crate::store::{StoreError, audit, canary, liveness, readiness, schedule, template};

/// How long the database may take before it counts as away.
const PATIENCE: Duration = Duration::from_secs(2);

/// The scan that begins what is scheduled runs twice a second; what is late by this much is late for a reason.
const LATE: Duration = Duration::from_secs(30);

/// An alert made of a template that nobody has looked at for so long: the alarm's own measure.
const UNREVIEWED: Duration = Duration::from_hours(72);

/// So many checkpoints may be missed before somebody has to know that none is signed.
const MISSED_CHECKPOINTS: u32 = 5;

/// Whom to ask.
#[derive(Clone, Debug)]
pub struct Sources<'a> {
    /// The database.
    pub pool: &'a PgPool,
    /// Whether this server can seal, and by which list.
    pub approval: &'a Approval,
    /// Why the broker is away, when it is.
    pub broker: Option<String>,
    /// How often the audit trail is signed.
    pub checkpoint_every: Duration,
}

/// What was found.
#[derive(Debug)]
pub struct Assessment {
    /// Requests are taken. False only when the database is away.
    pub ready: bool,
    /// Stand in the way of a broadcast.
    pub obstacles: Vec<Reason>,
    /// Want a person's attention.
    pub notes: Vec<Reason>,
}

/// One thing that was found.
#[derive(Debug)]
pub struct Reason {
    /// Which part, in the words of `/readyz`.
    pub part: String,
    /// What is wrong with it.
    pub said: Said,
}

impl Assessment {
    /// An approved alert would be pushed through every provider.
    pub fn can_broadcast(&self) -> bool {
        self.ready && self.obstacles.is_empty()
    }

    fn obstacle(&mut self, part: &str, said: Said) {
        self.obstacles.push(Reason { part: part.to_owned(), said });
    }

    fn note(&mut self, part: &str, said: Said) {
        self.notes.push(Reason { part: part.to_owned(), said });
    }
}

/// Looks at everything that an alert needs; never longer than two seconds.
pub async fn assess(asked: Sources<'_>) -> Assessment {
    let Sources { pool, approval, broker, checkpoint_every } = asked;
    let mut found = Assessment { ready: true, obstacles: Vec::new(), notes: Vec::new() };
    if let Some(trouble) = broker {
        found.obstacle(
            "broker",
            Said::new(
                format!("RabbitMQ không sẵn sàng: {trouble}"),
                format!("RabbitMQ is away: {trouble}"),
            ),
        );
    }
    if !approval.can_seal() {
        found.obstacle(
            "sealing",
            Said::new("Máy chủ chưa có khóa ký.", "This server has no sealing key."),
        );
    }
    if let Some(why) = approval.refused_list() {
        found.note(
            "approvers",
            Said::new(
                format!("Danh sách người duyệt mới không được dùng, danh sách cũ vẫn có hiệu lực: {why}"),
                format!("The list of approvers that lies there is not in force, the earlier one is: {why}"),
            ),
        );
    }
    let database =
        match tokio::time::timeout(PATIENCE, look(pool, checkpoint_every, &mut found)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer within 2 s".to_owned()),
        };
    if let Some(error) = &database {
        tracing::warn!(%error, "not ready: {error}");
        found.ready = false;
        found.obstacle(
            "database",
            Said::new("Cơ sở dữ liệu không trả lời.", "The database does not answer."),
        );
    }
    found
}

async fn look(
    pool: &PgPool,
    checkpoint_every: Duration,
    found: &mut Assessment,
) -> Result<(), StoreError> {
    dispatchers(pool, found).await?;
    let mut conn = pool.acquire().await?;
    roads(&mut conn, found).await?;
    for (id, reason) in readiness::parked_broadcasts(&mut conn).await? {
        found.obstacle(
            "broadcast",
            Said::new(
                format!("Lượt phát {id} bị giữ: {reason}"),
                format!("Broadcast {id} is parked: {reason}"),
            ),
        );
    }
    overdue(&mut conn, checkpoint_every, found).await
}

/// Who sends, and whether each provider takes it.
async fn dispatchers(pool: &PgPool, found: &mut Assessment) -> Result<(), StoreError> {
    let dispatchers = liveness::live_dispatchers(pool).await?;
    if dispatchers.is_empty() {
        found.obstacle(
            "dispatchers",
            Said::new(
                "Không có tiến trình loa dispatch nào đang chạy.",
                "No loa dispatch process is alive.",
            ),
        );
    }
    for dispatcher in &dispatchers {
        for (provider, reason) in dispatcher.parked_providers() {
            let host = &dispatcher.host;
            let said = Said::new(
                format!("Tạm ngừng ở {host}: {reason}"),
                format!("Parked at {host}: {reason}"),
            );
            // What a drill's own credentials are refused keeps no real alert back.
            if provider.starts_with("drill ") {
                found.note(provider, said);
            } else {
                found.obstacle(provider, said);
            }
        }
    }
    Ok(())
}

/// What is known of the way to the phones.
async fn roads(conn: &mut PgConnection, found: &mut Assessment) -> Result<(), StoreError> {
    for suspended in readiness::suspended_forgetting(conn).await? {
        let readiness::Suspended { provider, sent, gone } = suspended;
        found.note(
            "forgetting",
            Said::new(
                format!("Tạm ngừng gỡ địa chỉ hỏng của {provider}: {gone} trên {sent} phản hồi trong một giờ."),
                format!("Forgetting dead addresses of {provider} is suspended: {gone} of {sent} answers within an hour."),
            ),
        );
    }
    for sight in canary::sights(conn).await? {
        // It tells a person to look; whether a provider is parked, answers to real pushes decide.
        if sight.standing().is_doubtful() {
            found.note(
                "canary",
                Said::new(sight.in_detail(Tongue::Vi), sight.in_detail(Tongue::En)),
            );
        }
    }
    Ok(())
}

/// What should have happened by now and has not.
async fn overdue(
    conn: &mut PgConnection,
    checkpoint_every: Duration,
    found: &mut Assessment,
) -> Result<(), StoreError> {
    let words = |seconds: f64, t| span(time::Duration::seconds_f64(seconds), t);
    let late = schedule::overdue_seconds(conn).await?;
    if late >= LATE.as_secs_f64() {
        found.note(
            "schedule",
            Said::new(
                format!("Có tin hẹn giờ đã trễ {} mà chưa bắt đầu phát.", words(late, Tongue::Vi)),
                format!("A scheduled alert is {} late and has not begun.", words(late, Tongue::En)),
            ),
        );
    }
    let unreviewed = template::unreviewed_seconds(conn).await?;
    if unreviewed >= UNREVIEWED.as_secs_f64() {
        found.note(
            "after-review",
            Said::new(
                format!(
                    "Có tin phát theo mẫu đã {} chưa ai hậu kiểm.",
                    words(unreviewed, Tongue::Vi)
                ),
                format!(
                    "An alert made of a template has waited {} for its review.",
                    words(unreviewed, Tongue::En)
                ),
            ),
        );
    }
    let unsigned = audit::tail(conn).await?.unsigned_seconds;
    if unsigned >= (checkpoint_every * MISSED_CHECKPOINTS).as_secs_f64() {
        found.note(
            "audit",
            Said::new(
                format!("Nhật ký đã {} không được ký mốc: máy chủ không ký được, hoặc nhật ký không còn nguyên vẹn.", words(unsigned, Tongue::Vi)),
                format!("The audit trail has not been signed for {}: no server can, or the trail is not what it was.", words(unsigned, Tongue::En)),
            ),
        );
    }
    Ok(())
}
