//! A virtual host per test on the real RabbitMQ, made and deleted through its management API, and the means to hurt it.

use std::sync::Arc;
use std::time::Duration;

use loa::clock::SystemClock;
use loa::config::{Config, Secret};
use loa::queue::{Broker, BrokerState, Consumer, Delivery, Publisher, Settle, Subscription};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Longer than anything here takes; reaching it is a failure, not a pause.
pub const LIMIT: Duration = Duration::from_mins(1);

/// One virtual host of its own. Deleted at the end, also of a failed test.
pub struct Vhost {
    name: String,
    amqp: url::Url,
    management: Management,
}

#[derive(Clone)]
struct Management {
    base: url::Url,
    client: reqwest::Client,
}

impl Management {
    fn new() -> Self {
        let base = std::env::var("AMQP_MANAGEMENT_URL")
            .expect("AMQP_MANAGEMENT_URL: run the tests by `make test`");
        Self {
            base: base.parse().expect("AMQP_MANAGEMENT_URL is a URL"),
            client: reqwest::Client::new(),
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut url = self.base.clone();
        url.set_path("");
        let (user, password) = (url.username().to_owned(), url.password().map(str::to_owned));
        url.set_username("").expect("an http URL may have a user");
        url.set_password(None).expect("an http URL may have a password");
        let request = self
            .client
            .request(method, format!("{}api/{path}", url.as_str()))
            .basic_auth(user, password);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let response = request.send().await.expect("the management API answers");
        let status = response.status();
        (status, response.json().await.unwrap_or(Value::Null))
    }
}

impl Vhost {
    /// A new, empty one.
    pub async fn create() -> Self {
        let name = format!("loa-test-{}", uuid::Uuid::now_v7().simple());
        let management = Management::new();
        let (status, _) = management.call(Method::PUT, &format!("vhosts/{name}"), None).await;
        assert!(status.is_success(), "creating a virtual host: {status}");
        let mut amqp: url::Url = std::env::var("AMQP_URL")
            .expect("AMQP_URL: run the tests by `make test`")
            .parse()
            .expect("AMQP_URL is a URL");
        amqp.set_path(&name);
        let vhost = Self { name, amqp, management };
        let user = vhost.amqp.username().to_owned();
        vhost.allow(&user, ".*", ".*").await;
        vhost
    }

    /// Its name at the broker.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The configuration that leads here.
    pub fn config(&self) -> loa::config::broker::Broker {
        let mut config = Config::for_testing().broker;
        config.url = Secret::new(self.amqp.to_string());
        config
    }

    /// The address for a client of another user.
    pub fn url_of(&self, user: &str, password: &str) -> String {
        let mut url = self.amqp.clone();
        url.set_username(user).expect("an amqp URL may have a user");
        url.set_password(Some(password)).expect("an amqp URL may have a password");
        url.to_string()
    }

    /// A new user with these rights here; deleted by [`Vhost::forget_user`].
    pub async fn create_user(&self, name: &str, password: &str) {
        let body = json!({ "password": password, "tags": "" });
        let (status, _) =
            self.management.call(Method::PUT, &format!("users/{name}"), Some(body)).await;
        assert!(status.is_success(), "creating a user: {status}");
    }

    pub async fn forget_user(&self, name: &str) {
        self.management.call(Method::DELETE, &format!("users/{name}"), None).await;
    }

    pub async fn allow(&self, user: &str, write: &str, rest: &str) {
        let body = json!({ "configure": rest, "write": write, "read": rest });
        let path = format!("permissions/{}/{user}", self.name);
        let (status, _) = self.management.call(Method::PUT, &path, Some(body)).await;
        assert!(status.is_success(), "granting rights: {status}");
    }

    /// Imports definitions as an operator would.
    pub async fn import(&self, definitions: Value) -> StatusCode {
        self.management.call(Method::POST, "definitions", Some(definitions)).await.0
    }

    /// What the broker says there is.
    pub async fn list(&self, kind: &str) -> Vec<Value> {
        let (status, list) =
            self.management.call(Method::GET, &format!("{kind}/{}", self.name), None).await;
        assert!(status.is_success(), "listing {kind}: {status}");
        list.as_array().cloned().unwrap_or_default()
    }

    /// Deletes every queue and every exchange of ours, while clients are connected.
    pub async fn wipe(&self) {
        for queue in self.list("queues").await {
            let path = format!("queues/{}/{}", self.name, queue["name"].as_str().expect("a name"));
            self.management.call(Method::DELETE, &path, None).await;
        }
        for exchange in loa::queue::Exchange::DECLARED {
            let path = format!("exchanges/{}/{}", self.name, exchange.name());
            self.management.call(Method::DELETE, &path, None).await;
        }
    }

    /// Cuts every connection to this virtual host, as an operator would. Says how many there were.
    ///
    /// The management API learns of a connection a moment after it is made and tells nobody, so this asks until it knows of one.
    pub async fn cut_connections(&self) -> usize {
        let cutting = async {
            loop {
                let path = format!("vhosts/{}/connections", self.name);
                let (_, connections) = self.management.call(Method::GET, &path, None).await;
                let mut cut = 0;
                for connection in connections.as_array().into_iter().flatten() {
                    let name = connection["name"]
                        .as_str()
                        .expect("a name")
                        .replace(' ', "%20")
                        .replace('>', "%3E");
                    let (status, _) = self
                        .management
                        .call(Method::DELETE, &format!("connections/{name}"), None)
                        .await;
                    cut += usize::from(status.is_success());
                }
                if cut > 0 {
                    return cut;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        within(cutting).await
    }

    /// Connects as the service does.
    pub async fn broker(&self, name: &'static str) -> Broker {
        let broker = Broker::start(&self.config(), name);
        assert!(within(broker.connected()).await);
        broker
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        let (management, path) = (self.management.clone(), format!("vhosts/{}", self.name));
        // A drop cannot await, and the runtime of a failed test is going away: a thread with a runtime of its own.
        let deleting = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            let management = Management { client: reqwest::Client::new(), ..management };
            runtime.block_on(management.call(Method::DELETE, &path, None));
        });
        drop(deleting.join());
    }
}

/// What `future` yields, or a failed test: nothing here may hang for ever.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("took longer than a minute")
}

/// Resolves when the broker handle is not connected.
pub async fn until_disconnected(broker: &Broker) {
    let mut state = broker.watch();
    within(state.wait_for(|state| matches!(state, BrokerState::Disconnected(_))))
        .await
        .expect("the supervisor lives");
}

/// Consumes with `verdict`, and shows the test every delivery.
pub fn consume(
    broker: &Broker,
    publisher: &Publisher,
    subscription: Subscription,
    verdict: impl Fn(&Delivery) -> Settle + Send + Sync + 'static,
) -> (Consumer, mpsc::UnboundedReceiver<Delivery>) {
    let (seen, deliveries) = mpsc::unbounded_channel();
    let consumer = loa::queue::consume(
        broker,
        publisher,
        Arc::new(SystemClock),
        subscription,
        move |delivery| {
            let settle = verdict(&delivery);
            // The test may have seen enough and gone.
            drop(seen.send(delivery));
            std::future::ready(settle)
        },
    );
    (consumer, deliveries)
}
