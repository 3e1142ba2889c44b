//! An agency's system at the real broker, with a user of its own and the permissions an operator gives it: nothing but to write to
//! `alerts.requests`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use loa::clock::SystemClock;
use loa::http::requests::{problem, start};
use loa::identity::accounts;
use loa::intake::requests::{Reply, handle};
use loa::queue::{Publication, Publisher, Queue, Settle, Subscription};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::support::app::{Person, TestApp, id, pdf};
use crate::support::broker::{Vhost, within};
use crate::support::seed;

/// The broker's stand-in for a queue of one's own: answers come over the channel that asked.
const DIRECT: &str = "amq.rabbitmq.reply-to";

/// An agency's system, connected.
struct System<'a> {
    vhost: &'a Vhost,
    user: String,
    writer: Person,
    channel: Channel,
    answers: lapin::Consumer,
    _connection: Connection,
}

impl<'a> System<'a> {
    async fn connect(vhost: &'a Vhost, app: &TestApp) -> Self {
        // A user of its own: what our own user sends is ours, and no request.
        let user = format!("agency-{}", vhost.name());
        vhost.create_user(&user, "secret").await;
        // As docs/production.md grants them.
        vhost.allow(&user, r"^alerts\.requests$", "^$").await;
        let writer = app.writer().await;
        accounts::set_broker_user(&app.pool, "test", &user, writer.id).await.expect("an officer");
        let url = vhost.url_of(&user, "secret");
        let theirs = Connection::connect(&url, ConnectionProperties::default());
        let connection = within(theirs).await.expect("a connection");
        let channel = connection.create_channel().await.expect("a channel");
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let answers = channel
            .basic_consume(DIRECT.into(), "".into(), options, FieldTable::default())
            .await
            .expect("it needs no permission");
        Self { vhost, user, writer, channel, answers, _connection: connection }
    }

    async fn tell(&self, message_id: &str, body: &Value) {
        let properties = BasicProperties::default()
            .with_user_id(self.user.as_str().into())
            .with_message_id(message_id.into())
            .with_reply_to(DIRECT.into());
        self.channel
            .basic_publish(
                "alerts.requests".into(),
                "alert".into(),
                BasicPublishOptions::default(),
                body.to_string().as_bytes(),
                properties,
            )
            .await
            .expect("sent");
    }

    /// The next answer: to which message, and what.
    async fn hear(&mut self) -> (String, Value) {
        let answer = within(self.answers.next()).await.expect("an answer").expect("a channel");
        let to = answer.properties.correlation_id().as_ref().map(ShortString::as_str);
        (to.expect("a name").to_owned(), serde_json::from_slice(&answer.data).expect("JSON"))
    }

    async fn ask(&mut self, message_id: &str, body: Value) -> Value {
        self.tell(message_id, &body).await;
        let (to, answer) = self.hear().await;
        assert_eq!(to, message_id, "each question is answered once: {answer:#}");
        answer
    }

    async fn leave(self) {
        self.vhost.forget_user(&self.user).await;
    }
}

#[sqlx::test]
async fn a_system_hears_its_answers_on_direct_reply_to(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let vhost = Vhost::create().await;
    let (asked, answers) = (vhost.broker("asked").await, vhost.broker("answers").await);
    let _consumer = start(&app.state, &asked, &Publisher::new(&answers));
    let mut system = System::connect(&vhost, &app).await;

    let created = system.ask("m1", json!({"action": "create", "request": app.flood()})).await;
    assert_eq!(created["state"], "draft");
    assert_eq!(
        app.get(&system.writer, &format!("/v1/alerts/{}", id(&created))).await.expect(200),
        created
    );
    // A second one on the same channel; an answer that came twice would be heard instead.
    let listed = system.ask("m2", json!({"action": "list"})).await;
    assert_eq!(listed["items"][0]["id"], created["id"]);
    system.leave().await;
}

/// In base64 it is 28 MB: more than a broker of version 4 takes unless it is told to.
#[sqlx::test]
async fn a_document_of_twenty_mebibytes_passes_the_broker(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let vhost = Vhost::create().await;
    let (asked, answers) = (vhost.broker("asked").await, vhost.broker("answers").await);
    let _consumer = start(&app.state, &asked, &Publisher::new(&answers));
    let mut system = System::connect(&vhost, &app).await;
    let created = system.ask("m1", json!({"action": "create", "request": app.flood()})).await;

    let (small, limit) = (pdf(), app.state.intake.document_limit());
    assert_eq!(limit, 20 * 1024 * 1024);
    // What a PDF holds between its head and its end is nobody's business here.
    let (head, end) = small.split_at(9);
    let mut document = head.to_vec();
    document.resize(limit - end.len(), b' ');
    document.extend_from_slice(end);
    let document = STANDARD.encode(document);
    let attach = json!({"action": "attach", "alert": created["id"], "document": document});
    let attached = system.ask("m2", attach).await;

    assert_eq!(attached["revision"], 2, "{attached:#}");
    assert_eq!(attached["document"]["size"], limit, "{attached:#}");
    system.leave().await;
}

/// The database's address, at which nobody is at home until the door opens. Tells of each caller turned away.
struct Door {
    pool: PgPool,
    open: Arc<AtomicBool>,
    turned_away: mpsc::UnboundedReceiver<()>,
}

impl Door {
    async fn closed(real: &PgPool) -> Self {
        let mut url = url::Url::parse(&seed::url_of(real)).expect("a URL");
        let host = url.host_str().expect("a host").to_owned();
        let home = format!("{host}:{}", url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(listener.local_addr().expect("bound").port())).expect("a port");
        let pool = PgPoolOptions::new().connect_lazy(url.as_str()).expect("a URL");
        let open = Arc::new(AtomicBool::new(false));
        let (tell, turned_away) = mpsc::unbounded_channel();
        let opened = Arc::clone(&open);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if !opened.load(Ordering::SeqCst) {
                    // The test may have seen enough.
                    tell.send(()).ok();
                    continue;
                }
                let mut far = TcpStream::connect(&home).await.expect("the database is there");
                tokio::spawn(
                    async move { tokio::io::copy_bidirectional(&mut near, &mut far).await },
                );
            }
        });
        Self { pool, open, turned_away }
    }

    async fn turns_away(&mut self, callers: usize) {
        for _ in 0..callers {
            within(self.turned_away.recv()).await.expect("the door is there");
        }
    }
}

/// More often than the queue's delivery limit, after which the broker would make a dead letter of it.
const TOO_OFTEN: usize = 30;

#[sqlx::test]
async fn a_request_outlives_a_database_that_is_away(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let mut door = Door::closed(&app.pool).await;
    let behind = TestApp::start(door.pool.clone()).await;
    let vhost = Vhost::create().await;
    let (asked, answers) = (vhost.broker("asked").await, vhost.broker("answers").await);
    let publisher = Publisher::new(&answers);
    // As the service does, but with less patience between two attempts.
    let mut subscription = Subscription::new(Queue::AlertRequests, 1);
    subscription.requeue_pause = std::time::Duration::from_millis(1);
    let (settled, mut attempts) = mpsc::unbounded_channel();
    let intake = behind.state.intake.clone();
    let clock = Arc::new(SystemClock);
    let sender = publisher.clone();
    let consumer = loa::queue::consume(&asked, &publisher, clock, subscription, move |delivery| {
        let (intake, settled, sender) = (intake.clone(), settled.clone(), sender.clone());
        async move {
            let (settle, reply) = handle(&intake, &delivery, problem).await;
            if let Some(Reply { to, correlation_id, body }) = reply {
                let body = body.to_string().into_bytes();
                let answer = Publication::answer(&to, correlation_id, body, "answer:m1");
                assert_eq!(sender.publish(answer).await, Ok(()), "which is no word of its arrival");
            }
            settled.send((delivery.delivery_count, settle.clone())).expect("a test");
            settle
        }
    });
    within(consumer.until_consuming(true)).await;
    let mut system = System::connect(&vhost, &app).await;

    system.tell("m1", &json!({"action": "create", "request": app.flood()})).await;
    door.turns_away(TOO_OFTEN).await;
    door.open.store(true, Ordering::SeqCst);

    let mut held = 0;
    loop {
        let (delivered, settle) = within(attempts.recv()).await.expect("a consumer");
        assert_eq!(delivered, 0, "the broker counts none of them");
        match settle {
            Settle::Hold => held += 1,
            settle => break assert_eq!(settle, Settle::Ack),
        }
    }
    assert!(held >= TOO_OFTEN, "{held}");
    let (to, answer) = system.hear().await;
    assert_eq!((to.as_str(), &answer["state"]), ("m1", &json!("draft")));
    assert_eq!(app.count("select count(*) from alert").await, 1);
    door.pool.close().await;
    system.leave().await;
}

#[sqlx::test]
async fn the_service_answers_when_the_database_is_back(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let mut door = Door::closed(&app.pool).await;
    let behind = TestApp::start(door.pool.clone()).await;
    let vhost = Vhost::create().await;
    let (asked, answers) = (vhost.broker("asked").await, vhost.broker("answers").await);
    let _consumer = start(&behind.state, &asked, &Publisher::new(&answers));
    let mut system = System::connect(&vhost, &app).await;

    system.tell("m1", &json!({"action": "create", "request": app.flood()})).await;
    door.turns_away(3).await;
    door.open.store(true, Ordering::SeqCst);

    let (to, answer) = system.hear().await;
    assert_eq!((to.as_str(), &answer["state"]), ("m1", &json!("draft")));
    door.pool.close().await;
    system.leave().await;
}
