//! A province whose past is known to the second: alerts, submissions, decisions and broadcasts as rows, so that a report has one right answer.

use loa::domain::account::{Officer, Role};
use loa::domain::id::{AgencyId, OfficerId};
use loa::upkeep::figures::Figures;
use serde_json::{Value, json};
use sqlx::PgPool;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use crate::public_world::World;

/// Two agencies and who acts for them.
pub struct Past {
    pub pool: PgPool,
    pub agencies: [AgencyId; 2],
    pub author: Uuid,
    pub approver: Uuid,
}

/// One alert's past.
#[derive(Clone)]
pub struct Told {
    pub agency: AgencyId,
    pub words: Value,
    pub purpose: &'static str,
    pub refers_to: Option<Uuid>,
    pub state: &'static str,
    pub submitted: Vec<OffsetDateTime>,
    pub decided: Vec<(&'static str, OffsetDateTime)>,
    pub sent: Option<Sent>,
}

/// What became of its broadcast.
#[derive(Clone, Copy)]
pub struct Sent {
    pub at: OffsetDateTime,
    pub lane: &'static str,
    /// Accepted by Android, iOS and browsers.
    pub accepted: [i32; 3],
    pub gone: i32,
    pub failed: i32,
    /// Seconds to half, to 99 of 100 and to the last.
    pub after: [i32; 3],
    pub stopped: bool,
}

pub const FOCAL_NAME: &str = "Sở Khoa học và Công nghệ tỉnh Cao Bằng";
pub const AGENCY_NAME: &str =
    "Ban Chỉ huy Phòng thủ dân sự và Phòng, chống thiên tai, tìm kiếm cứu nạn tỉnh";

/// An emergency about a flood.
pub fn flood(headline: &str) -> Value {
    words(headline, ("warning", "natural_disaster"), ("extreme", "immediate"), Some(3))
}

/// An announcement about health.
pub fn news(headline: &str) -> Value {
    words(headline, ("announcement", "health"), ("minor", "future"), None)
}

fn words(
    headline: &str,
    (kind, category): (&str, &str),
    (severity, urgency): (&str, &str),
    risk_level: Option<u8>,
) -> Value {
    json!({"kind": kind, "category": category, "severity": severity, "urgency": urgency, "certainty": "likely", "risk_level": risk_level,
        "texts": {"vi": {"headline": headline, "body": "Mưa rất to trên toàn tỉnh."}}, "expires": "2027-01-01T00:00:00Z",
        "source": {"number": "01/CĐ", "date": "2026-11-01", "summary": "Công điện"},
        "attestations": {"whole_province": true, "no_state_secret": true}})
}

impl Past {
    pub async fn new(pool: PgPool) -> Self {
        let (focal, agency) = (Uuid::now_v7(), Uuid::now_v7());
        let (author, approver) = (Uuid::now_v7(), Uuid::now_v7());
        sqlx::query("insert into agency (id, code, name, is_focal_unit) values ($1, 'SKHCN', $2, true), ($3, 'BCH', $4, false)")
            .bind(focal).bind(FOCAL_NAME).bind(agency).bind(AGENCY_NAME).execute(&pool).await.unwrap();
        sqlx::query("insert into officer (id, agency_id, name, login, role) values ($1, $2, 'Cán bộ trực 01', 'truc', 'submitter'), ($3, $4, 'Lãnh đạo trực duyệt 01', 'duyet', 'approver')")
            .bind(author).bind(agency).bind(approver).bind(focal).execute(&pool).await.unwrap();
        Self { pool, agencies: [AgencyId(focal), AgencyId(agency)], author, approver }
    }

    /// The past of a province that is there already.
    pub async fn of(world: &World) -> Self {
        let focal: Uuid = sqlx::query_scalar("select id from agency where is_focal_unit")
            .fetch_one(&world.pool)
            .await
            .unwrap();
        Self {
            pool: world.pool.clone(),
            agencies: [AgencyId(focal), AgencyId(world.agency)],
            author: world.author,
            approver: world.approver,
        }
    }

    /// A year of it: a hundred and twenty alerts, most of them sent, in every month until the world's.
    pub async fn year(&self) {
        let begun = datetime!(2026-01-03 06:10 +7);
        for n in 0..120u16 {
            let at = begun + time::Duration::minutes(i64::from(n) * 3_860);
            let mut words = if n % 3 == 0 {
                flood("Cảnh báo lũ quét, sạt lở đất ở các xã ven suối trên toàn tỉnh")
            } else {
                news("Lịch tiêm vắc xin sởi cho trẻ từ 6 tháng đến 10 tuổi")
            };
            let categories = ["natural_disaster", "fire", "traffic", "health", "fraud"];
            words["category"] = json!(categories[usize::from(n * n % 5)]);
            if n % 3 == 0 {
                words["risk_level"] = json!(1 + n * 7 % 5);
            }
            let mut told = self.draft(words);
            told.agency = self.agencies[usize::from(n % 4 > 0)];
            told.submitted = vec![at];
            let answered =
                at + time::Duration::seconds(i64::from(n % 11) * i64::from(n % 7) * 97 + 40);
            match n % 10 {
                3 => (told.state, told.decided) = ("returned", vec![("alert.returned", answered)]),
                7 => (told.state, told.decided) = ("rejected", vec![("alert.rejected", answered)]),
                _ => {
                    (told.state, told.decided) = ("expired", vec![("alert.approved", answered)]);
                    let more = i32::from(n) * 310;
                    told.sent = Some(Sent {
                        at: answered,
                        lane: if n % 3 == 0 { "emergency" } else { "bulk" },
                        accepted: [240_000 + more, 120_000 + more, 4_000],
                        gone: 9_000 + more / 7,
                        failed: 120 + more / 90,
                        after: [
                            9 + i32::from(n % 5) * 4,
                            40 + i32::from(n % 7) * 31,
                            200 + i32::from(n % 9) * 90,
                        ],
                        stopped: n % 40 == 4,
                    });
                }
            }
            let id = self.tell(&told).await;
            if n > 60 && told.sent.is_some() {
                self.shown(id, 0, 2_100).await;
                self.shown(id, 1, 990).await;
            }
        }
    }

    /// Somebody in a role of the focal unit, or of the other agency.
    pub fn officer(&self, role: Role, is_focal: bool) -> Officer {
        let (agency, code, name) = if is_focal {
            (self.agencies[0], "SKHCN", FOCAL_NAME)
        } else {
            (self.agencies[1], "BCH", AGENCY_NAME)
        };
        Officer {
            id: OfficerId(self.approver),
            agency,
            agency_code: code.into(),
            agency_name: name.into(),
            name: "Người đọc báo cáo".into(),
            role,
        }
    }

    /// An alert of the other agency, not yet submitted.
    pub fn draft(&self, words: Value) -> Told {
        Told {
            agency: self.agencies[1],
            words,
            purpose: "alert",
            refers_to: None,
            state: "draft",
            submitted: Vec::new(),
            decided: Vec::new(),
            sent: None,
        }
    }

    /// Writes it down.
    pub async fn tell(&self, told: &Told) -> Uuid {
        let id = Uuid::now_v7();
        let published = told.sent.map(|sent| sent.at);
        let submitted_by = told.submitted.last().or(published.as_ref()).map(|_| self.author);
        sqlx::query(
            "insert into alert (id, incident_id, version, purpose, refers_to, agency_id, state, created_by, submitted_by, submitted_at, published_at, expires_at)
             values ($1, $2, 1, $3, $4, $5, $6, $7, $8, $9, $10, now() + interval '1 hour')")
            .bind(id).bind(Uuid::now_v7()).bind(told.purpose).bind(told.refers_to).bind(told.agency.0).bind(told.state)
            .bind(self.author).bind(submitted_by).bind(told.submitted.last().copied()).bind(published)
            .execute(&self.pool).await.unwrap();
        let mut deeds: Vec<(OffsetDateTime, &str)> =
            told.submitted.iter().map(|at| (*at, "alert.submitted")).collect();
        deeds.extend(told.decided.iter().map(|(action, at)| (*at, *action)));
        deeds.sort();
        let first = deeds.first().map(|(at, _)| *at).or(published);
        sqlx::query("insert into alert_revision (alert_id, revision, content, author, created_at) values ($1, 1, $2, $3, coalesce($4, now()))")
            .bind(id).bind(&told.words).bind(self.author).bind(first).execute(&self.pool).await.unwrap();
        for (at, action) in deeds {
            sqlx::query(
                "insert into audit (seq, at, actor, action, subject, detail, previous, hash)
                 select coalesce(max(seq), 0) + 1, $1, 'test', $3, $2, '{}', '', '' from audit",
            )
            .bind(at)
            .bind(id.to_string())
            .bind(action)
            .execute(&self.pool)
            .await
            .unwrap();
        }
        if let Some(sent) = told.sent {
            self.send(id, sent).await;
        }
        id
    }

    async fn send(&self, alert: Uuid, sent: Sent) {
        let (id, at) = (Uuid::now_v7(), |seconds| sent.at + time::Duration::seconds(seconds));
        let [half, nearly_all, whole] = sent.after.map(|seconds| at(i64::from(seconds)));
        sqlx::query(
            "insert into broadcast (id, alert_id, lane, state, expires_at, created_at, planned_at, completed_at, stopped_at)
             values ($1, $2, $3, 'completed', $4 + interval '1 hour', $4, $4, $5, $6)")
            .bind(id).bind(alert).bind(sent.lane).bind(sent.at).bind(whole).bind(sent.stopped.then_some(whole))
            .execute(&self.pool).await.unwrap();
        // What was not accepted is Android's.
        for (provider, accepted, gone, failed) in [
            (0i16, sent.accepted[0], sent.gone, sent.failed),
            (1, sent.accepted[1], 0, 0),
            (2, sent.accepted[2], 0, 0),
        ] {
            sqlx::query(
                "insert into batch (broadcast_id, provider, first, last, planned, state, accepted, gone, failed, pending)
                 select $1, $2, 1, $3 + $4 + $5, $3 + $4 + $5, 2, $3, $4, $5, 0 where $3 + $4 + $5 > 0")
                .bind(id).bind(provider).bind(accepted).bind(gone).bind(failed).execute(&self.pool).await.unwrap();
        }
        sqlx::query(
            "insert into reached (broadcast_id, percent, at) values ($1, 50, $2), ($1, 99, $3)",
        )
        .bind(id)
        .bind(half)
        .bind(nearly_all)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// What upkeep does every few seconds.
    pub async fn gather(&self) {
        Figures { pool: self.pool.clone() }.round().await.expect("gathered");
    }

    /// So many phones of a hundredth said that they showed it.
    pub async fn shown(&self, alert: Uuid, platform: i16, reports: i64) {
        sqlx::query(
            "insert into shown (alert_id, platform, share, reports) values ($1, $2, 0.01, $3)",
        )
        .bind(alert)
        .bind(platform)
        .bind(reports)
        .execute(&self.pool)
        .await
        .unwrap();
    }
}
