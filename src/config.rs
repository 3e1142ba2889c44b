//! Configuration, read once, at start, from one place.
//!
//! Layers, each over the one before: the built-in `config.default.toml` (every key, explained) ← the file named by `--config` or
//! `LOA_CONFIG` ← `LOA__SECTION__KEY` ← `DATABASE_URL` and `AMQP_URL`. A key that the built-in file does not have is refused by name:
//! a misspelt quota must not silently become the default. Everything that is wrong is reported at once, one line each.
//!
//! Nothing outside this module reads the environment. Secrets are read from files and never shown ([`Secret`]).

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::domain::retry::Waits;

pub mod announcements;
pub mod apns;
pub mod audit;
pub mod bearer;
pub mod broker;
pub mod canary;
pub mod database;
pub mod devices;
pub mod dispatch;
pub mod drill;
pub mod fcm;
pub mod http;
pub mod notices;
pub mod oidc;
pub mod pacing;
pub mod provider;
pub mod seal;
pub mod secret;
pub mod sign_in;
pub mod telemetry;
pub mod waits;
pub mod webpush;
pub mod working_time;

mod layers;

pub use secret::Secret;

/// The built-in defaults: the lowest layer, and the list of all keys there are.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// Where the service runs, which decides what it refuses to start with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Real phones. Simulators, demo keys and default secrets are refused.
    Production,
    /// A demonstration or a test: simulators and generated keys are welcome.
    Demo,
}

/// Everything the processes need to know, parsed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Production unless said otherwise.
    pub mode: Mode,
    /// PostgreSQL.
    pub database: database::Database,
    /// RabbitMQ.
    pub broker: broker::Broker,
    /// The API, the console and the public pages.
    pub http: http::Http,
    /// With what people sign in.
    pub sign_in: sign_in::SignIn,
    /// The province's single sign-on.
    pub oidc: oidc::Oidc,
    /// Access tokens of agencies' systems.
    pub bearer: bearer::Bearer,
    /// The key that seals and the keys that are trusted.
    pub seal: seal::Seal,
    /// Checkpoints of the audit trail.
    pub audit: audit::Audit,
    /// When announcements keep quiet.
    pub announcements: announcements::Announcements,
    /// What the feedback system and its neighbours may tell people.
    pub notices: notices::Notices,
    /// When offices are open.
    pub working_time: working_time::WorkingTime,
    /// How much a dispatcher takes on.
    pub dispatch: dispatch::Dispatch,
    /// How fast the fleet may push.
    pub pacing: pacing::Pacing,
    /// How long until something is tried again.
    #[serde(deserialize_with = "waits::read")]
    pub waits: Waits,
    /// Firebase Cloud Messaging.
    pub fcm: fcm::Fcm,
    /// Apple Push Notification service.
    pub apns: apns::Apns,
    /// Push services of browsers.
    pub webpush: webpush::WebPush,
    /// Whom drills reach, and with which credentials.
    pub drill: drill::Drill,
    /// Which of the operator's own devices are probed.
    pub canary: canary::Canary,
    /// How phones register.
    pub devices: devices::Devices,
    /// Logs, traces and metrics.
    pub telemetry: telemetry::Telemetry,
}

impl Config {
    /// Reads the layers for a process. `flag` is the value of `--config`; without it `LOA_CONFIG` names the file; without either
    /// there is none.
    ///
    /// # Errors
    /// Everything that is unreadable, unknown, of the wrong type or, by [`Config::check`], unfit for the mode.
    pub fn load(flag: Option<&Path>) -> Result<Self, Problems> {
        let (file, environment) = sources(flag);
        let config = Self::from_layers(file.as_deref(), &environment)?;
        config.check().into_result()?;
        Ok(config)
    }

    /// Reads the same layers for `loa migrate`, which comes first of all: only `[database]` must be fit, the rest may still be missing.
    ///
    /// # Errors
    /// Everything that is unreadable, unknown or of the wrong type, and what is unfit in `[database]`.
    pub fn load_database(flag: Option<&Path>) -> Result<database::Database, Problems> {
        let (file, environment) = sources(flag);
        let Self { mode, mut database, .. } = Self::parse(file.as_deref(), &environment)?;
        let mut problems = Problems::default();
        database.read_files(&mut problems);
        problems.into_result()?;
        let mut problems = Problems::default();
        database.check(mode, &mut problems);
        problems.into_result()?;
        Ok(database)
    }

    /// Reads the same layers for whoever looks back at what was recorded, with nothing but a file and the keys that are believed: only
    /// `[seal]` and `[audit]` must be fit.
    ///
    /// # Errors
    /// Everything that is unreadable, unknown or of the wrong type, and what is unfit in those two.
    pub fn load_trust(flag: Option<&Path>) -> Result<(seal::Seal, audit::Audit), Problems> {
        let (file, environment) = sources(flag);
        let Self { mode, seal, audit, .. } = Self::parse(file.as_deref(), &environment)?;
        let mut problems = Problems::default();
        seal.check(mode, &mut problems);
        audit.check(&seal, &mut problems);
        problems.into_result()?;
        Ok((seal, audit))
    }

    /// The configuration of a test: demo mode, the servers named by `DATABASE_URL` and `AMQP_URL` if they are set, any free port.
    ///
    /// # Panics
    /// When the built-in defaults do not parse, which is a defect of this crate.
    pub fn for_testing() -> Self {
        let environment = layers::Environment::of_process().only(&["DATABASE_URL", "AMQP_URL"]);
        let mut config =
            Self::from_layers(None, &environment).expect("the built-in defaults parse");
        config.mode = Mode::Demo;
        config.http.for_testing();
        config.sign_in.password_alone = true;
        config.announcements.for_testing();
        config.dispatch.for_testing();
        config
    }

    /// Says everything that is unfit for the mode, at once. Empty means: fit to start.
    pub fn check(&self) -> Problems {
        let mut problems = Problems::default();
        self.database.check(self.mode, &mut problems);
        self.broker.check(self.mode, &mut problems);
        self.http.check(self.mode, &mut problems);
        self.sign_in.check(&mut problems);
        self.oidc.check(self.mode, &mut problems);
        self.bearer.check(&self.oidc, self.mode, &mut problems);
        self.seal.check(self.mode, &mut problems);
        self.audit.check(&self.seal, &mut problems);
        self.announcements.check(&mut problems);
        self.notices.check(&self.http.base_url(), &mut problems);
        self.dispatch.check(&mut problems);
        self.pacing.check(&mut problems);
        waits::check(&self.waits, self.mode, &mut problems);
        self.fcm.check(self.mode, &mut problems);
        self.apns.check(self.mode, &mut problems);
        self.webpush.check(self.mode, &mut problems);
        self.check_drill(&mut problems);
        self.canary.check(self.mode, &mut problems);
        self.devices.check(&mut problems);
        self.telemetry.check(&mut problems);
        problems
    }

    fn from_layers(
        file: Option<&Path>,
        environment: &layers::Environment,
    ) -> Result<Self, Problems> {
        let mut config = Self::parse(file, environment)?;
        let mut problems = Problems::default();
        config.database.read_files(&mut problems);
        config.broker.read_files(&mut problems);
        problems.into_result()?;
        Ok(config)
    }

    fn parse(file: Option<&Path>, environment: &layers::Environment) -> Result<Self, Problems> {
        let merged = layers::merge(DEFAULTS, file, environment)?;
        serde_path_to_error::deserialize(toml::Value::Table(merged)).map_err(|error| {
            let key = error.path().to_string();
            Problem::new(key, error.inner().message(), "config.default.toml explains the key")
                .alone()
        })
    }
}

/// Whom `sudo` names as the person behind this process: for the audit trail, never for a decision.
pub fn sudo_user() -> Option<String> {
    std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty())
}

/// The file and the variables of this process.
fn sources(flag: Option<&Path>) -> (Option<PathBuf>, layers::Environment) {
    let environment = layers::Environment::of_process();
    let file =
        flag.map(Path::to_path_buf).or_else(|| environment.get("LOA_CONFIG").map(PathBuf::from));
    (file, environment)
}

/// One thing that is wrong, in one line: the key, what is wrong with it, what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    key: String,
    what: String,
    remedy: String,
}

impl Problem {
    /// `key` as `section.key`. Neither text may contain a secret.
    pub fn new(key: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { key: key.into(), what: what.into(), remedy: remedy.into() }
    }

    /// The only problem there is.
    pub fn alone(self) -> Problems {
        Problems(vec![self])
    }

    /// The key, as `section.key`, or the name of the file or variable.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, what, remedy } = self;
        write!(f, "{key}: {}; {remedy}", what.replace('\n', " "))
    }
}

/// Everything that is wrong with the configuration, one line each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn add(
        &mut self,
        key: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.0.push(Problem::new(key, what, remedy));
    }

    /// `Ok` when there are none.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }

    /// Each of them, in the order of the sections.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests;
