//! The feedback system tells a result, over RabbitMQ or by REST; the person's phones ring, once each, and nobody else's. Real
//! processes throughout: `loa serve`, `loa dispatch`, the simulated providers.

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use loa::identity::accounts;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::app::Person;
use crate::support::broker::{Vhost, within};
use crate::support::fleet::{Fleet, Setup};
use crate::support::notice::{event, feedback_system, result};
use crate::support::phones::{Phone, android, apple, browser, link_phones};

/// Whatever of the case could be told by mistake.
const PERSONAL: [&str; 5] =
    ["citizen-1", "pa-2026-004217", "pa-2026-004218", "bien-ban", "result:"];

/// The province's service with citizen 1's three phones, citizen 2's one, and the feedback system.
struct Stage {
    fleet: Fleet,
    vhost: Vhost,
    system: Person,
    own: [Phone; 3],
    other: Phone,
}

impl Stage {
    async fn set(pool: PgPool) -> Self {
        let vhost = Vhost::create().await;
        let amqp_url = vhost.config().url.expose().clone();
        let setup = Setup { devices: 0, batch_size: 200, pace: 0, amqp_url };
        let mut fleet = Fleet::start(pool, &setup).await;
        link_phones(&mut fleet);
        fleet.serve().await;
        let own = [
            android(&fleet, "citizen-1", "vi-VN").await,
            apple(&fleet, "citizen-1").await,
            browser(&fleet, "citizen-1").await,
        ];
        let other = android(&fleet, "citizen-2", "vi-VN").await;
        let system = feedback_system(&fleet.app).await;
        Self { fleet, vhost, system, own, other }
    }

    async fn tell(&self, event: &Value) -> String {
        let answer = self.fleet.app.post(&self.system, "/v1/feedback-events", event).await;
        answer.expect(202)["notice"].as_str().expect("a notice").to_owned()
    }

    /// Requests that reached the provider for this phone, oldest first.
    async fn requests(&self, phone: &Phone) -> Vec<Value> {
        let path = format!("pushes?token={}", phone.address);
        let Value::Array(all) = self.fleet.control("GET", &path, None).await else {
            panic!("a list")
        };
        all
    }

    /// Which notices a phone was shown: what its provider accepted, in order.
    async fn shown(&self, phone: &Phone) -> Vec<String> {
        let requests = self.requests(phone).await;
        let accepted = requests.iter().filter(|request| {
            request["status"].as_u64().is_some_and(|status| (200..300).contains(&status))
        });
        accepted.map(|request| notice_of(&request["payload"])).collect()
    }

    /// Waits until each of the person's phones was shown this notice.
    async fn rung(&self, notice: &str) {
        let ringing = async {
            for phone in &self.own {
                while !self.shown(phone).await.iter().any(|shown| shown == notice) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        let rung = tokio::time::timeout(Duration::from_mins(1), ringing).await;
        assert!(rung.is_ok(), "somebody's phone stays silent:\n{}", self.fleet.logs());
    }
}

/// The feedback system's own connection, which is allowed to tell and to hear answers.
struct Line {
    user: String,
    channel: Channel,
    answers: lapin::Consumer,
    _connection: Connection,
}

impl Line {
    async fn open(stage: &Stage) -> Self {
        let user = format!("pakn-{}", stage.vhost.name());
        stage.vhost.create_user(&user, "secret").await;
        stage.vhost.allow(&user, r"^(feedback\.events|answers)$", "^answers$").await;
        let pool = &stage.fleet.app.pool;
        accounts::set_broker_user(pool, "test", &user, stage.system.id).await.expect("an account");
        let url = stage.vhost.url_of(&user, "secret");
        let connecting = Connection::connect(&url, ConnectionProperties::default());
        let connection = within(connecting).await.expect("a connection");
        let channel = connection.create_channel().await.expect("a channel");
        let own = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare("answers".into(), own, FieldTable::default()).await.expect("a queue");
        let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let heard =
            channel.basic_consume("answers".into(), "".into(), no_ack, FieldTable::default());
        let answers = heard.await.expect("answers");
        Self { user, channel, answers, _connection: connection }
    }

    async fn tell(&mut self, message_id: &str, event: &Value) -> Value {
        let properties = BasicProperties::default()
            .with_user_id(self.user.as_str().into())
            .with_message_id(message_id.into())
            .with_reply_to("answers".into());
        let body = event.to_string();
        let options = BasicPublishOptions::default();
        let told = self.channel.basic_publish(
            "feedback.events".into(),
            "result".into(),
            options,
            body.as_bytes(),
            properties,
        );
        told.await.expect("told");
        let answer = within(self.answers.next()).await.expect("an answer").expect("delivered");
        serde_json::from_slice(&answer.data).expect("JSON")
    }
}

/// The notice a payload links to, whatever its provider's form.
fn notice_of(payload: &Value) -> String {
    let text = payload.to_string();
    let (_, link) = text.split_once("https://loa.example.vn/notices/").expect("a link");
    link[..36].to_owned()
}

#[sqlx::test]
async fn a_result_rings_each_of_the_persons_phones_once_however_it_is_told(pool: PgPool) {
    let mut stage = Stage::set(pool).await;
    stage.fleet.dispatch().await;
    let mut line = Line::open(&stage).await;

    let by_broker = result();
    let first = line.tell("m1", &by_broker).await;
    assert_eq!((&first["status"], &first["repeated"]), (&json!("accepted"), &json!(false)));
    let first = first["notice"].as_str().expect("a notice").to_owned();
    stage.rung(&first).await;
    let again = line.tell("m1", &by_broker).await;
    assert_eq!((&again["notice"], &again["repeated"]), (&json!(first), &json!(true)));
    assert_eq!(stage.tell(&by_broker).await, first, "by REST it is the same event");

    let attachment = json!({"attachment": {"name": "bien-ban-nghiem-thu.pdf"}});
    let by_rest = event("result", ("pa-2026-004218", 1), "citizen-1", &attachment);
    let second = stage.tell(&by_rest).await;
    stage.rung(&second).await;
    assert_eq!(line.tell("m2", &by_rest).await["repeated"], json!(true));

    // Tasks keep their order: when the last notice has rung, whatever a repeat had caused would have, too.
    let last = event("result", ("pa-2026-004217", 2), "citizen-1", &attachment);
    let third = stage.tell(&last).await;
    stage.rung(&third).await;
    for phone in &stage.own {
        assert_eq!(stage.shown(phone).await, [&*first, &second, &third], "{}", phone.provider);
        for request in stage.requests(phone).await {
            let everything = request.to_string();
            for personal in PERSONAL {
                assert!(!everything.contains(personal), "{personal}: {request:#}");
            }
        }
    }
    assert_eq!(stage.requests(&stage.other).await, [] as [Value; 0], "nobody else's phone");
    let [android, apple, browser] = &stage.own;
    let payload = stage.requests(android).await[0]["payload"].to_string();
    assert!(payload.contains("Mở ứng dụng để xem."), "{payload}");
    let payload = stage.requests(apple).await[0]["payload"].to_string();
    assert!(payload.contains("Open the app to read it."), "{payload}");
    let request = &stage.requests(browser).await[0];
    assert_eq!(request["decrypted"], json!(true), "{request:#}");
    assert!(request["payload"].to_string().contains("Mở ứng dụng để xem."), "{request:#}");
    stage.vhost.forget_user(&line.user).await;
}

#[sqlx::test]
async fn a_dispatcher_killed_between_claim_and_settlement_leaves_the_notice_to_another(
    pool: PgPool,
) {
    let mut stage = Stage::set(pool).await;
    let victim = stage.fleet.dispatch().await;
    // The provider takes the first request, and will not answer while the dispatcher lives.
    let [android, ..] = &stage.own;
    let rule = json!({"provider": "fcm", "match": {"token": android.address}, "times": 1,
        "answer": {"status": 503}, "delay_ms": 600_000});
    stage.fleet.control("POST", "script", Some(rule)).await;
    let notice = stage.tell(&result()).await;
    within(async {
        while stage.requests(&stage.own[0]).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for phone in &stage.own[1..] {
        within(async {
            while stage.shown(phone).await.is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
    // One phone is slow; that the others have it is known before anything can happen to the dispatcher.
    let noted = "select count(*) from notice_batch where length(ledger) = 2 * 12";
    within(async {
        while stage.fleet.app.count(noted).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let held = "select count(*) from notice_batch where state = 0 and holder is not null";
    assert_eq!(stage.fleet.app.count(held).await, 1, "claimed, not settled");

    stage.fleet.kill(victim);
    stage.fleet.dispatch().await;
    stage.rung(&notice).await;
    within(async {
        while stage.fleet.app.count("select count(*) from notice_batch where state = 2").await == 0
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for phone in &stage.own {
        assert_eq!(stage.shown(phone).await, [&*notice], "{}", phone.provider);
    }
    assert_eq!(stage.requests(&stage.other).await, [] as [Value; 0]);
}
