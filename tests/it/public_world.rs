//! A province in a test database: agencies, officers, sealed alerts. Written with plain SQL, so that these tests do not lean on the
//! code that approves.

use std::sync::Arc;

use loa::clock::{Clock as _, SystemClock, TestClock};
use loa::domain::alert::{AlertContent, AlertRequest};
use loa::domain::id::{AlertId, IncidentId};
use loa::domain::seal::{
    Identity, PreparedIds, Sealable, SealedAgency, SealedDocument, SealingKey, TrustedKeys, digest,
    sealable,
};
use loa::publication::Publication;
use sqlx::PgPool;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

/// The hour at which these tests happen.
pub const NOW: OffsetDateTime = datetime!(2026-11-21 07:05 UTC);
pub const AGENCY: &str =
    "Ban Chỉ huy Phòng thủ dân sự và Phòng, chống thiên tai, tìm kiếm cứu nạn tỉnh Cao Bằng";
/// The document behind every alert of these tests.
pub const PDF: &[u8] = include_bytes!("../../demo/documents/01.pdf");

pub struct World {
    pub pool: PgPool,
    pub now: OffsetDateTime,
    pub clock: Arc<TestClock>,
    pub key: SealingKey,
    pub agency: Uuid,
    pub author: Uuid,
    pub approver: Uuid,
    document: Uuid,
}

/// An alert that waits for its approval.
pub struct Waiting {
    pub id: AlertId,
    pub sealable: Sealable,
    expires: OffsetDateTime,
}

impl World {
    /// At the hour of these tests.
    pub async fn new(pool: PgPool) -> Self {
        Self::at(pool, NOW).await
    }

    /// At this very moment, for what the database's own clock judges.
    pub async fn today(pool: PgPool) -> Self {
        let now = SystemClock.now().replace_nanosecond(0).unwrap();
        Self::at(pool, now).await
    }

    async fn at(pool: PgPool, now: OffsetDateTime) -> Self {
        let (agency, focal, author, approver) =
            (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
        let document = Uuid::now_v7();
        sqlx::query("insert into agency (id, code, name, is_focal_unit) values ($1, 'BCHPTDS', $2, false), ($3, 'SKHCN', 'Sở Khoa học và Công nghệ tỉnh Cao Bằng', true)")
            .bind(agency).bind(AGENCY).bind(focal).execute(&pool).await.unwrap();
        sqlx::query("insert into officer (id, agency_id, name, login, role) values ($1, $2, 'Cán bộ trực ban 01', 'truc', 'submitter'), ($3, $4, 'Lãnh đạo trực duyệt 01', 'duyet', 'approver')")
            .bind(author).bind(agency).bind(approver).bind(focal).execute(&pool).await.unwrap();
        sqlx::query("insert into document (id, sha256, media_type, content, created_by) values ($1, decode($2, 'hex'), 'application/pdf', $3, $4)")
            .bind(document).bind(digest(PDF)).bind(PDF).bind(author).execute(&pool).await.unwrap();
        let pkcs8 = SealingKey::generate().unwrap();
        Self {
            pool,
            now,
            clock: Arc::new(TestClock::at(now)),
            key: SealingKey::from_pkcs8("test-1", &pkcs8).unwrap(),
            agency,
            author,
            approver,
            document,
        }
    }

    /// What a `serve` process of this province holds.
    pub fn publication(&self) -> Arc<Publication> {
        let keys = TrustedKeys::of([(self.key.id().to_owned(), self.key.public())]);
        Arc::new(Publication::new(self.pool.clone(), self.clock.clone(), keys))
    }

    /// An alert from the demonstration's files, changed by `change`, submitted.
    pub async fn submitted(&self, file: &str, change: impl FnOnce(&mut AlertRequest)) -> Waiting {
        let mut request = request(file, self.now);
        change(&mut request);
        let content =
            AlertContent::parse(&request, self.now).expect("the demonstration's alert is valid");
        let id = AlertId::new();
        let identity = Identity {
            id,
            incident: IncidentId::new(),
            version: 1,
            revision: 1,
            agency: SealedAgency { code: "BCHPTDS".into(), name: AGENCY.into() },
            public_url: "https://loa.example.vn".into(),
            replaces: None,
        };
        let file = SealedDocument {
            sha256: digest(PDF),
            media_type: "application/pdf".into(),
            size: PDF.len() as u64,
        };
        let sealable = sealable(&identity, &content, &file, PreparedIds::draw());
        sqlx::query("insert into alert (id, incident_id, agency_id, state, created_by, submitted_by, submitted_at, expires_at) values ($1, $2, $3, 'submitted', $4, $4, $5, $6)")
            .bind(id.0).bind(identity.incident.0).bind(self.agency).bind(self.author).bind(self.now).bind(content.expires)
            .execute(&self.pool).await.unwrap();
        let (recall, all_clear) = (sealable.recall.as_ref(), sealable.all_clear.as_ref());
        sqlx::query("insert into alert_revision (alert_id, revision, content, document_id, author, sealable, recall_id, recall_sealable, all_clear_id, all_clear_sealable) values ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(id.0).bind(serde_json::to_value(&content).unwrap()).bind(self.document).bind(self.author)
            .bind(&sealable.alert).bind(recall.map(|r| r.0.0)).bind(recall.map(|r| r.1.clone()))
            .bind(all_clear.map(|a| a.0.0)).bind(all_clear.map(|a| a.1.clone()))
            .execute(&self.pool).await.unwrap();
        Waiting { id, sealable, expires: content.expires }
    }

    /// What an approval commits, as far as the public record is concerned.
    pub async fn approve(&self, waiting: &Waiting) {
        let signature = self.key.seal(&waiting.sealable.alert);
        self.approve_with(waiting, &waiting.sealable.alert, &signature).await;
    }

    /// The same with whatever bytes and signature an attacker likes.
    pub async fn approve_with(&self, waiting: &Waiting, bytes: &[u8], signature: &[u8]) {
        let mut tx = self.pool.begin().await.unwrap();
        sqlx::query(
            "insert into seal (alert_id, sealed, key_id, signature) values ($1, $2, $3, $4)",
        )
        .bind(waiting.id.0)
        .bind(bytes)
        .bind(self.key.id())
        .bind(signature)
        .execute(&mut *tx)
        .await
        .unwrap();
        sqlx::query("update alert set state = 'live', published_at = $2 where id = $1")
            .bind(waiting.id.0)
            .bind(self.now)
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// Executes the prepared recall.
    pub async fn recall(&self, original: &Waiting) -> AlertId {
        let (id, bytes) = original.sealable.recall.as_ref().expect("a warning has a recall");
        let mut tx = self.pool.begin().await.unwrap();
        sqlx::query("update alert set state = 'recalled', ended_at = $2 where id = $1")
            .bind(original.id.0)
            .bind(self.now)
            .execute(&mut *tx)
            .await
            .unwrap();
        sqlx::query("insert into alert (id, incident_id, version, purpose, refers_to, agency_id, state, created_by, submitted_by, published_at, expires_at) select $1, incident_id, 2, 'recall', id, agency_id, 'live', created_by, submitted_by, $3, expires_at + interval '24 hours' from alert where id = $2")
            .bind(id.0).bind(original.id.0).bind(self.now).execute(&mut *tx).await.unwrap();
        sqlx::query(
            "insert into seal (alert_id, sealed, key_id, signature) values ($1, $2, $3, $4)",
        )
        .bind(id.0)
        .bind(bytes)
        .bind(self.key.id())
        .bind(self.key.seal(bytes))
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
        *id
    }

    /// A live alert from the demonstration's files.
    pub async fn live(&self, file: &str) -> Waiting {
        let waiting = self.submitted(file, |_| {}).await;
        self.approve(&waiting).await;
        waiting
    }
}

impl Waiting {
    pub fn expires(&self) -> OffsetDateTime {
        self.expires
    }
}

/// The request in one of `demo/alerts`, expiring when it says, counted from `now`.
fn request(file: &str, now: OffsetDateTime) -> AlertRequest {
    let path = format!("{}/demo/alerts/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let raw: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let minutes = raw["expires_in_minutes"].as_i64().unwrap();
    let mut request: AlertRequest = serde_json::from_value(raw["request"].clone()).unwrap();
    let expires = now + time::Duration::minutes(minutes);
    request.expires = Some(expires.format(&time::format_description::well_known::Rfc3339).unwrap());
    request
}
