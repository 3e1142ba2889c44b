//! A person's phones, a result for them, and a provider that remembers what it was given.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use loa::clock::{Clock, SystemClock};
use loa::delivery::gate::Gate;
use loa::delivery::send::Report;
use loa::domain::account::Role;
use loa::domain::broadcast::Outcome;
use loa::domain::id::{NoticeBatchId, NoticeId};
use loa::domain::message::PushMessage;
use loa::domain::notice::ledger::Ledger;
use loa::domain::retry::Waits;
use loa::notice::{Courier, Notices, Parcel, templates};
use serde_json::{Value, json};
use sqlx::PgPool;
use time::format_description::well_known::Rfc3339;

use super::app::{Person, TestApp};

/// The liveness lock of the dispatcher that is tested.
pub const LOCK: i64 = 4711;

/// The result of citizen 1's case.
pub fn result() -> Value {
    let attachment = json!({"name": "bien-ban-nghiem-thu.pdf"});
    event("result", ("pa-2026-004217", 1), "citizen-1", &json!({"attachment": attachment}))
}

/// An event of a citizen's case, with what its kind requires.
pub fn event(kind: &str, (case, sequence): (&str, u32), subject: &str, beside: &Value) -> Value {
    let now = SystemClock.now().format(&Rfc3339).unwrap();
    let mut event = json!({"version": 2, "id": format!("{case}:{kind}:{sequence}"), "kind": kind, "at": now,
        "case": {"id": case, "kind": "feedback", "sequence": sequence}, "person": {"subject": subject}});
    let fields = event.as_object_mut().unwrap();
    fields.extend(beside.as_object().cloned().unwrap_or_default());
    event
}

/// A provider that answers as it is told, `Accepted` unless told otherwise, and remembers.
#[derive(Default)]
pub struct Recorder {
    pub sent: Mutex<Vec<(String, PushMessage)>>,
    answers: Mutex<HashMap<String, Vec<Outcome>>>,
}

impl Recorder {
    pub fn answering(address: &str, answers: &[Outcome]) -> Self {
        let recorder = Self::default();
        recorder.answers.lock().unwrap().insert(address.to_owned(), answers.to_vec());
        recorder
    }

    pub fn addresses(&self) -> Vec<String> {
        let mut all: Vec<_> =
            self.sent.lock().unwrap().iter().map(|(address, _)| address.clone()).collect();
        all.sort();
        all
    }
}

impl Courier for Recorder {
    async fn send(&self, parcel: Parcel) -> Report {
        let mut report = Report::default();
        for target in parcel.targets {
            let address = target.address.text().to_owned();
            let message = parcel
                .template
                .message(parcel.notice, &target.language, parcel.expires)
                .expect("Vietnamese");
            let mut answers = self.answers.lock().unwrap();
            let told = answers.get_mut(&address).filter(|answers| !answers.is_empty());
            report
                .outcomes
                .push((target.number, told.map_or(Outcome::Accepted, |answers| answers.remove(0))));
            self.sent.lock().unwrap().push((address, message));
        }
        report
    }
}

/// The neighbour that tells results.
pub async fn feedback_system(app: &TestApp) -> Person {
    app.person("VPUBND", "he-thong-pakn", Role::System).await
}

async fn device(
    pool: &PgPool,
    provider: i16,
    number: i64,
    address: &str,
    language: &str,
    subject: &str,
) {
    sqlx::query(
        "insert into device (installation, provider, number, kind, address, address_hash, language, subject)
         values (gen_random_uuid(), $1, $2, $1 * 2, $3, sha256(convert_to($3, 'UTF8')), $4, $5)",
    )
    .bind(provider)
    .bind(number)
    .bind(address)
    .bind(language)
    .bind(subject)
    .execute(pool)
    .await
    .unwrap();
}

/// Two phones of citizen 1, one of citizen 2.
pub async fn phones(pool: &PgPool) {
    device(pool, 0, 1, "android-1", "vi", "citizen-1").await;
    device(pool, 1, 1, "apple-1", "en", "citizen-1").await;
    device(pool, 0, 2, "android-2", "vi", "citizen-2").await;
}

/// A dispatcher's deliveries under liveness lock `lock`, with an open gate.
pub fn notices(app: &TestApp, lock: i64) -> Notices {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let gate = Gate::new(Arc::clone(&clock));
    gate.born(1);
    gate.beat(clock.instant(), clock.now());
    gate.born(lock);
    Notices::new(app.pool.clone(), gate, app.trusted(), Waits::default())
}

/// The result, told over REST: the batch of its notice.
pub async fn told(app: &TestApp) -> NoticeBatchId {
    told_as(app).await;
    batch_of(app).await
}

/// The only batch there is.
pub async fn batch_of(app: &TestApp) -> NoticeBatchId {
    let batch = sqlx::query_scalar("select id from notice_batch").fetch_one(&app.pool).await;
    NoticeBatchId(batch.unwrap())
}

/// The result, told over REST: its notice.
pub async fn told_as(app: &TestApp) -> NoticeId {
    let system = feedback_system(app).await;
    templates::seal_built_in(&app.pool, &app.key, "https://loa.example.vn").await.unwrap();
    let answer = app.post(&system, "/v1/feedback-events", &result()).await.expect(202);
    answer["notice"].as_str().unwrap().parse().unwrap()
}

/// What became of the notices on every device.
pub async fn ledger(app: &TestApp) -> Ledger {
    let bytes: Vec<u8> =
        sqlx::query_scalar("select ledger from notice_batch").fetch_one(&app.pool).await.unwrap();
    Ledger::read(&bytes, 1).expect("a ledger")
}

/// The batch's state: 0 open, 1 waiting, 2 final.
pub async fn state(app: &TestApp) -> i16 {
    sqlx::query_scalar("select state from notice_batch").fetch_one(&app.pool).await.unwrap()
}
