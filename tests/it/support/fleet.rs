//! Real processes against real servers: simulators, `loa serve`, `loa dispatch` as often as wanted, and the means to kill them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loa::broadcast::progress::{Progress, progress};
use loa::domain::id::{BroadcastId, IncidentId};
use loa::domain::message::CollapseId;
use loa::domain::registration::WebPushRules;
use serde_json::Value;
use sqlx::PgPool;

use super::app::{Person, TestApp, id};
use super::seed;

/// Longer than any broadcast of a test takes.
const LIMIT: Duration = Duration::from_mins(3);

/// How a fleet is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Installed devices, of which 5 % are dead.
    pub devices: u32,
    /// Devices in a batch.
    pub batch_size: u32,
    /// Pushes a second and provider, the whole fleet; 0: as fast as it goes.
    pub pace: u32,
    /// The broker to use.
    pub amqp_url: String,
}

/// Which phones there are, in words of `loa-sim`; by default the mixture, with every browser at one push service.
#[derive(Clone, Copy, Debug, Default)]
pub struct Crowd {
    /// One provider's only.
    pub only: Option<&'static str>,
    /// The vendors whose push services the browsers have subscribed at, with commas between.
    pub push_services: Option<&'static str>,
}

impl Crowd {
    fn arguments(self) -> impl Iterator<Item = &'static str> {
        self.only.into_iter().flat_map(|only| ["--only", only])
    }
}

/// Simulators, dispatchers, and an API to act by.
pub struct Fleet {
    pub app: TestApp,
    pub writer: Person,
    pub approver: Person,
    pub site: Value,
    url: String,
    directory: PathBuf,
    sim: Child,
    processes: Vec<Child>,
    listens: Vec<String>,
    environment: Vec<(&'static str, String)>,
    client: reqwest::Client,
}

/// An alert being broadcast.
#[derive(Clone, Debug)]
pub struct OnAir {
    pub broadcast: BroadcastId,
    pub collapse: String,
}

impl Fleet {
    /// Devices installed, simulators running, nothing dispatching yet.
    pub async fn start(pool: PgPool, setup: &Setup) -> Self {
        let url = seed::url_of(&pool);
        Self::start_at(pool, url, setup).await
    }

    /// The same on a database of which we know the URL.
    pub async fn start_at(pool: PgPool, url: String, setup: &Setup) -> Self {
        Self::begin(pool, url, setup, Crowd::default()).await
    }

    /// The same with phones of one's choice.
    pub async fn of(pool: PgPool, setup: &Setup, crowd: Crowd) -> Self {
        let url = seed::url_of(&pool);
        Self::begin(pool, url, setup, crowd).await
    }

    async fn begin(pool: PgPool, url: String, setup: &Setup, crowd: Crowd) -> Self {
        let directory = std::env::temp_dir().join(format!("loa-test-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&directory).expect("a directory");
        let (sim, site) = start_sim(&directory, setup.devices, crowd);
        let app = TestApp::start(pool).await;
        let (writer, approver) = (app.writer().await, app.approver().await);
        install(&app.pool, &directory, setup.devices, crowd).await;
        let fleet = Self {
            app,
            writer,
            approver,
            site,
            url,
            directory,
            sim,
            processes: Vec::new(),
            listens: Vec::new(),
            environment: Vec::new(),
            client: reqwest::Client::new(),
        };
        fleet.write_configuration(setup);
        fleet
    }

    /// Sets a variable for the processes that are started from now on.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.environment.push((name, value.into()));
    }

    /// What is installed, as it was imported.
    pub fn installed(&self) -> String {
        fs::read_to_string(self.directory.join("devices.ndjson")).expect("it was installed")
    }

    /// A file in the fleet's directory; returns its path.
    pub fn write(&self, name: &str, content: &[u8]) -> String {
        let path = self.directory.join(name);
        fs::write(&path, content).expect("a file");
        path.display().to_string()
    }

    /// Starts another dispatcher and waits until it is ready. Returns its index.
    pub async fn dispatch(&mut self) -> usize {
        let listen = free_address();
        self.launch("dispatch", &listen, &[("LOA__DISPATCH__STATUS_LISTEN", &listen)]).await
    }

    /// Starts `loa serve` and waits until it is ready; `app` asks it from now on. Returns its index.
    pub async fn serve(&mut self) -> usize {
        let listen = free_address();
        let key = self.write("seal.key", &self.app.pkcs8);
        let own = [
            ("LOA__HTTP__LISTEN", listen.as_str()),
            ("LOA__HTTP__PUBLIC_URL", "https://loa.example.vn"),
            ("LOA__SEAL__SIGNING_KEY_FILE", &key),
            ("LOA__SEAL__KEY_ID", "test"),
        ];
        let index = self.launch("serve", &listen, &own).await;
        self.app.ask(format!("http://{listen}"));
        index
    }

    async fn launch(&mut self, process: &str, listen: &str, own: &[(&str, &str)]) -> usize {
        let log = fs::File::create(self.log(self.processes.len())).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_loa"))
            .arg("--config")
            .arg(self.directory.join("loa.toml"))
            .arg(process)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .envs(own.iter().copied())
            .env_remove("DATABASE_URL")
            .env_remove("AMQP_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("loa starts");
        self.processes.push(child);
        self.listens.push(listen.to_owned());
        let ready = async {
            loop {
                let answer = self.client.get(format!("http://{listen}/readyz")).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let ready = tokio::time::timeout(LIMIT, ready).await;
        assert!(ready.is_ok(), "loa {process} is not ready:\n{}", self.logs());
        self.processes.len() - 1
    }

    /// What a process has counted under this name, all labels together.
    pub async fn counted(&self, index: usize, metric: &str) -> f64 {
        let url = format!("http://{}/metrics", self.listens[index]);
        let answer = self.client.get(url).send().await.expect("it answers");
        let text = answer.text().await.expect("text");
        let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(metric));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    fn log(&self, index: usize) -> PathBuf {
        self.directory.join(format!("{index}.log"))
    }

    /// SIGKILL: no farewell.
    pub fn kill(&mut self, index: usize) {
        let child = &mut self.processes[index];
        child.kill().expect("it runs");
        child.wait().expect("it ended");
    }

    /// SIGTERM, as an orchestrator sends it; returns whether it ended well.
    pub async fn terminate(&mut self, index: usize) -> bool {
        let id = self.processes[index].id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill");
        assert!(sent.success(), "it runs");
        let ended = async {
            loop {
                if let Some(status) = self.processes[index].try_wait().expect("a child") {
                    return status.success();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, ended).await.expect("it drains and ends")
    }

    /// Submits and approves the flash-flood warning.
    pub async fn approve(&self) -> OnAir {
        let submitted = self.app.submitted(&self.writer).await;
        let approved = self.app.approve(&self.approver, &submitted).await.expect(200);
        self.on_air(&submitted, &approved).await
    }

    /// What an approval or a recall of `alert` was answered with, as something that is being broadcast.
    pub async fn on_air(&self, alert: &Value, answer: &Value) -> OnAir {
        let path = format!("/v1/review/alerts/{}", id(alert));
        let sheet = self.app.get(&self.approver, &path).await.expect(200);
        let incident: IncidentId =
            sheet["sealed"]["incident"].as_str().expect("an incident").parse().expect("a UUID");
        OnAir {
            broadcast: answer["broadcast"].as_str().expect("an id").parse().expect("a UUID"),
            collapse: CollapseId::of(incident).as_str().to_owned(),
        }
    }

    /// How far it is.
    pub async fn progress(&self, on_air: &OnAir) -> Progress {
        progress(&self.app.pool, on_air.broadcast)
            .await
            .expect("the database")
            .expect("it is there")
    }

    /// Waits until the progress is as wished; at every look the sum must be the audience.
    pub async fn until(&self, on_air: &OnAir, wish: impl Fn(&Progress) -> bool) -> Progress {
        let waiting = async {
            loop {
                // While a server is away there is nothing to see.
                if let Ok(Some(progress)) = progress(&self.app.pool, on_air.broadcast).await {
                    let sum = progress.tally.outcomes() + progress.tally.pending;
                    assert_eq!(sum, progress.audience, "invariant 4");
                    if wish(&progress) {
                        return progress;
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if let Ok(progress) = tokio::time::timeout(LIMIT, waiting).await {
            return progress;
        }
        panic!("{:#?}\n{}", self.progress(on_air).await, self.logs())
    }

    /// Waits until every device has a final outcome.
    pub async fn completed(&self, on_air: &OnAir) -> Progress {
        self.until(on_air, |progress| progress.completed_at.is_some()).await
    }

    /// What the simulators counted.
    pub async fn report(&self, on_air: &OnAir) -> Value {
        self.control("GET", &format!("report?cid={}", on_air.collapse), None).await
    }

    /// Changes the simulators.
    pub async fn settings(&self, patch: Value) {
        self.control("POST", "settings", Some(patch)).await;
    }

    /// Asks the simulators' control API.
    pub async fn control(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}/control/{path}", self.site["control_url"].as_str().expect("a URL"));
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("the simulators answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap_or(Value::Null)
    }

    /// The last lines of every process, for a failed test.
    pub fn logs(&self) -> String {
        let mut all = String::new();
        for index in 0..self.processes.len() {
            let text = fs::read_to_string(self.log(index)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            all.push_str("--- a process\n");
            all.push_str(&lines[lines.len().saturating_sub(30)..].join("\n"));
            all.push('\n');
        }
        all
    }

    fn write_configuration(&self, setup: &Setup) {
        let (pace, batch) = (setup.pace, setup.batch_size);
        let text = format!(
            r#"mode = "demo"
[database]
url = "{database}"
[broker]
url = "{broker}"
[seal]
trusted_keys = [{{ id = "{key_id}", public_key = "{public}" }}]
[announcements]
quiet_hours = ''
per_day = 0
[dispatch]
batch_size = {batch}
[pacing]
fcm_per_second = {pace}
apns_per_second = {pace}
webpush_per_origin_per_second = {pace}
ramp_seconds = 0
{providers}[telemetry]
log_format = "human"
"#,
            database = self.url,
            broker = setup.amqp_url,
            key_id = self.app.key.id(),
            public = URL_SAFE_NO_PAD.encode(self.app.key.public()),
            providers = providers_toml(&self.site),
        );
        fs::write(self.directory.join("loa.toml"), text).expect("the configuration");
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in self.processes.iter_mut().chain([&mut self.sim]) {
            drop(child.kill());
            drop(child.wait());
        }
        if !std::thread::panicking() {
            drop(fs::remove_dir_all(&self.directory));
        }
    }
}

/// The sections that lead a dispatcher to the simulators, as they wrote them.
pub fn providers_toml(site: &Value) -> String {
    let file = site["files"]["providers"].as_str().expect("a file");
    fs::read_to_string(file).expect("the simulators wrote it")
}

/// Starts the three simulators; what they make is in `directory/sim`.
pub fn start_sim(directory: &Path, devices: u32, crowd: Crowd) -> (Child, Value) {
    use std::io::{BufRead as _, BufReader};
    let mut child = Command::new(env!("CARGO_BIN_EXE_loa-sim"))
        .args(["serve", "--decrypt", "all", "--devices", &devices.to_string(), "--dir"])
        .arg(directory.join("sim"))
        .args(crowd.arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("loa-sim starts");
    let mut line = String::new();
    let output = child.stdout.take().expect("its output");
    BufReader::new(output).read_line(&mut line).expect("a line");
    (child, serde_json::from_str(&line).expect("what loa-sim says of itself"))
}

async fn install(pool: &PgPool, directory: &Path, devices: u32, crowd: Crowd) {
    let file = directory.join("devices.ndjson");
    let made = Command::new(env!("CARGO_BIN_EXE_loa-sim"))
        .args(["devices", "--count", &devices.to_string(), "--dir"])
        .arg(directory.join("sim"))
        .args(crowd.arguments())
        .args(crowd.push_services.into_iter().flat_map(|services| ["--push-services", services]))
        .arg("--out")
        .arg(&file)
        .status()
        .expect("loa-sim runs");
    assert!(made.success());
    let rules = WebPushRules { allow_loopback: true, ..WebPushRules::default() };
    let report = directory.join("refused");
    let summary = loa::registry::import::import_file(pool, rules, &file, &report).await;
    assert_eq!(summary.expect("an import").refused, 0);
}

/// Where nothing listens.
pub fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").to_string()
}
