//! A false or finished warning stands on a hundred thousand screens: how long until the last of them says so.

use std::time::Duration;

use loa::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::app::id;
use crate::support::broker::Vhost;
use crate::support::fleet::{Fleet, Setup};

/// From the decision to the last phone, whatever the person still has to read and confirm.
const TARGET: Duration = Duration::from_mins(1);
/// What a person takes for the confirmation: reads which text goes to how many phones, and presses.
const CONFIRMING: Duration = Duration::from_secs(15);

/// Of an optimised build: what an unoptimised one takes says nothing about the service.
#[cfg(not(debug_assertions))]
#[sqlx::test]
async fn a_recall_and_an_all_clear_are_on_the_last_of_a_hundred_thousand_phones_within_a_minute(
    pool: PgPool,
) {
    end_of_the_alarm(pool, 100_000).await;
}

#[sqlx::test]
async fn nothing_but_the_number_of_phones_keeps_a_recall_and_an_all_clear_waiting(pool: PgPool) {
    end_of_the_alarm(pool, 10_000).await;
}

/// The alarm is called back, another one declared over; each in time on every phone.
async fn end_of_the_alarm(pool: PgPool, phones: u32) {
    let vhost = Vhost::create().await;
    let amqp_url = vhost.config().url.expose().clone();
    let setup = Setup { devices: phones, batch_size: 4_000, pace: 0, amqp_url };
    let mut fleet = Fleet::start(pool, &setup).await;
    fleet.dispatch().await;
    for (how, version) in [("recall", 3), ("all_clear", 2)] {
        let request = fleet.app.foreseen_flood();
        let live = fleet.app.live_as(&fleet.writer, &fleet.approver, &request).await;
        let alarm = fleet.on_air(&live, &json!({"broadcast": live["broadcast"]["id"]})).await;
        // The hardest moment: the alarm itself is under way.
        fleet.until(&alarm, |progress| progress.tally.accepted > i64::from(phones) / 20).await;

        let decided = SystemClock.now();
        let path = format!("/v1/review/alerts/{}/{}", id(&live), how.replace('_', "-"));
        let answer = fleet.app.post(&fleet.approver, &path, &Value::Null).await.expect(200);

        let on_air = fleet.on_air(&live, &answer).await;
        let told = fleet.completed(&on_air).await;
        let ended = answer[how].as_str().expect("an id");
        let query = format!("report?cid={}&id={ended}&v={version}", on_air.collapse);
        let report = fleet.control("GET", &query, None).await;
        assert_eq!(report["lost"], json!(0), "{report:#}\n{}", fleet.logs());
        assert!(told.tally.accepted > i64::from(phones) * 9 / 10, "{told:#?}");
        let last = report["last_request_unix_ms"].as_f64().expect("a moment");
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a double")]
        let took = Duration::from_secs_f64(
            (last - decided.unix_timestamp_nanos() as f64 / 1e6).max(0.0) / 1e3,
        );
        println!("{how}: {took:?} from the decision to the last of {phones} phones");
        assert!(took + CONFIRMING < TARGET, "{how}: {took:?}\n{}", fleet.logs());
        fleet.completed(&alarm).await;
    }
}
