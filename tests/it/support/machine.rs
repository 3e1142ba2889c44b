//! A machine as its operator sees it: a configuration file, the real `loa`, what it says and how it ends.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loa::domain::seal::SealingKey;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::broker::within;
use super::fleet::{Crowd, free_address, start_sim};

/// A directory of its own, removed with it.
pub struct Machine {
    directory: PathBuf,
    sim: Option<std::process::Child>,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Exit status.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// A process that goes on.
pub struct Running {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    heard: Vec<String>,
    address: String,
}

impl Machine {
    /// Without a configuration.
    pub fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("loa-machine-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&directory).expect("a directory");
        Self { directory, sim: None }
    }

    /// Writes a file; returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.directory.join(name);
        fs::write(&path, content).expect("a file");
        path.display().to_string()
    }

    /// The simulators, for as long as the machine; what they say of themselves.
    pub fn simulators(&mut self) -> Value {
        let (sim, site) = start_sim(&self.directory, 0, Crowd::default());
        self.sim = Some(sim);
        site
    }

    /// A new sealing key in `name`: its path, and the line by which others trust it as `id`.
    pub fn sealing_key(&self, name: &str, id: &str) -> (String, String) {
        let pkcs8 = SealingKey::generate().expect("random bytes");
        let public = SealingKey::from_pkcs8(id, &pkcs8).expect("our own key").public();
        let line =
            format!("{{ id = \"{id}\", public_key = \"{}\" }}", URL_SAFE_NO_PAD.encode(public));
        (self.write(name, pkcs8), line)
    }

    /// `loa` under this configuration, to its end.
    pub async fn loa(&self, configuration: &str, arguments: &[&str]) -> Said {
        let mut command = self.command(configuration, arguments);
        let done = within(command.output()).await.expect("loa runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Said {
            code: done.status.code().expect("it ended by itself"),
            out: text(done.stdout),
            err: text(done.stderr),
        }
    }

    /// `loa serve`, `dispatch` or `run` under this configuration, which must not set the addresses: they are free ones.
    pub fn start(&self, configuration: &str, process: &str) -> Running {
        let address = free_address();
        let mut command = self.command(configuration, &[process]);
        command.env("LOA__HTTP__LISTEN", &address);
        let other = if process == "run" { free_address() } else { address.clone() };
        if process != "serve" {
            command.env("LOA__DISPATCH__STATUS_LISTEN", &other);
        }
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("loa starts");
        let lines = lines(child.stderr.take().expect("its log"));
        Running { child, lines, heard: Vec::new(), address }
    }

    fn command(&self, configuration: &str, arguments: &[&str]) -> Command {
        let file = self.write(&format!("{}.toml", uuid::Uuid::new_v4()), configuration);
        let mut command = Command::new(env!("CARGO_BIN_EXE_loa"));
        command
            .args(["--config", &file])
            .args(arguments)
            .env_remove("DATABASE_URL")
            .env_remove("AMQP_URL")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(sim) = &mut self.sim {
            drop(sim.kill());
            drop(sim.wait());
        }
        if !std::thread::panicking() {
            drop(fs::remove_dir_all(&self.directory));
        }
    }
}

impl Said {
    /// The lines that name what is wrong, each with its remedy below.
    pub fn wrong(&self) -> Vec<&str> {
        self.out.lines().filter(|line| line.starts_with("WRONG")).collect()
    }

    /// The only line on standard error.
    #[track_caller]
    pub fn complaint(&self) -> &str {
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
        self.err.trim_end()
    }
}

impl Running {
    /// Waits until the process says this.
    pub async fn says(&mut self, words: &str) {
        let hearing = async {
            while let Some(line) = self.lines.recv().await {
                let found = line.contains(words);
                self.heard.push(line);
                if found {
                    return true;
                }
            }
            false
        };
        let said = within(hearing).await;
        assert!(said, "it ended without saying {words:?}:\n{}", self.heard.join("\n"));
    }

    /// Waits until `/readyz` says that it is ready, and nothing stands in the way in any of `parts`.
    pub async fn is_ready(&mut self, parts: &[&str]) {
        let url = format!("http://{}/readyz", self.address);
        let client = reqwest::Client::new();
        let asking = async {
            loop {
                if let Ok(answer) = client.get(&url).send().await
                    && answer.status() == StatusCode::OK
                {
                    let page: Value = answer.json().await.expect("JSON");
                    let reasons = page["reasons"].as_array().expect("reasons");
                    if !reasons
                        .iter()
                        .any(|reason| parts.iter().any(|part| reason["part"] == *part))
                    {
                        return;
                    }
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::pin!(asking);
        // A process that ends is not waited for.
        tokio::select! {
            () = within(&mut asking) => {}
            ended = self.child.wait() => panic!("it ended: {ended:?}"),
        }
    }

    /// Waits until `/readyz` shows what is wished for.
    pub async fn shows(&self, wish: impl Fn(&Value) -> bool) -> Value {
        let client = reqwest::Client::new();
        let asking = async {
            loop {
                if let Ok(answer) =
                    client.get(format!("http://{}/readyz", self.address)).send().await
                {
                    let page: Value = answer.json().await.expect("JSON");
                    if wish(&page) {
                        return page;
                    }
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        within(asking).await
    }

    /// What a call with this method gets at this path: status and body.
    pub async fn call(&self, method: Method, path: &str) -> (u16, Value) {
        let request =
            reqwest::Client::new().request(method, format!("http://{}{path}", self.address));
        let answer = within(request.send()).await.expect("it answers");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Everything it says until it ends, and its exit status.
    pub async fn ends(mut self) -> (i32, String) {
        let ending = async {
            while let Some(line) = self.lines.recv().await {
                self.heard.push(line);
            }
            self.child.wait().await.expect("a child")
        };
        let status = within(ending).await;
        (status.code().expect("it ended by itself"), self.heard.join("\n"))
    }
}

fn lines(stream: impl AsyncRead + Send + Unpin + 'static) -> mpsc::UnboundedReceiver<String> {
    let (heard, lines) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut stream = BufReader::new(stream).lines();
        while let Ok(Some(line)) = stream.next_line().await {
            // The test may have heard enough.
            drop(heard.send(line));
        }
    });
    lines
}

/// A server that is away until it comes: an address where nothing listens, and what listens there later.
pub struct Away {
    address: String,
    server: String,
}

impl Away {
    /// The same URL at an address where nothing listens yet.
    pub fn of(url: &str) -> (Self, String) {
        let mut url = url::Url::parse(url).expect("a URL");
        let host = url.host_str().expect("a host").to_owned();
        let server = format!("{host}:{}", url.port().expect("a port of our own"));
        let address = free_address();
        let (host, port) = address.rsplit_once(':').expect("a port");
        url.set_host(Some(host)).expect("a host");
        url.set_port(Some(port.parse().expect("a number"))).expect("a port");
        (Self { address, server }, url.into())
    }

    /// It comes: every connection is passed on to the real server.
    pub async fn comes(self) {
        let listener = TcpListener::bind(&self.address).await.expect("the address is still free");
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let server = self.server.clone();
                tokio::spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(server).await {
                        drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
                    }
                });
            }
        });
    }
}
