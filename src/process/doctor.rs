//! `loa doctor`: what is wrong with this installation, and how to mend it. Sends nothing.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use time::OffsetDateTime;

use super::{command, database, groups, refusal, runtime, serve, trust};
use crate::canary;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Mode};
use crate::console;
use crate::delivery::providers::Providers;
use crate::domain::canary::{Sight, Standing};
use crate::domain::device::Provider;
use crate::domain::wording::Tongue;
use crate::queue::Broker;
use crate::store::{self, account, device, forgetting, liveness, schema};

/// Which days are worked.
mod calendar;

/// Our clock may differ from the database's by this much before tokens and expiries suffer.
const CLOCK_TOLERANCE: time::Duration = time::Duration::seconds(5);

/// The oldest PostgreSQL, as `server_version_num`.
const OLDEST_POSTGRES: i32 = 150_000;

/// How long the broker may take.
const BROKER_PATIENCE: Duration = Duration::from_secs(10);

/// Looks at everything and prints one line a part; exit status 1 when something is wrong.
pub fn run(file: Option<&Path>) -> anyhow::Result<ExitCode> {
    let mut findings = Findings::default();
    let config = match Config::load(file) {
        Ok(config) => {
            findings.well("configuration", "every key is known and fit for the mode");
            config
        }
        Err(problems) => {
            for line in problems.to_string().lines() {
                findings.ill("configuration", line, "config.default.toml explains the key");
            }
            return Ok(findings.code());
        }
    };
    runtime()?.block_on(async {
        keys(&config, &mut findings);
        sign_in(&config, &mut findings);
        match command::pool(&config.database).await {
            Ok(pool) => {
                providers(&config, Some(&pool), &mut findings).await;
                look_into_database(&config, &pool, &mut findings).await;
            }
            Err(error) => {
                providers(&config, None, &mut findings).await;
                findings.ill(
                    "database",
                    &format!("{error:#}"),
                    "start PostgreSQL, or mend database.url (DATABASE_URL)",
                );
            }
        }
        broker(&config, &mut findings).await;
        Ok(findings.code())
    })
}

fn keys(config: &Config, findings: &mut Findings) {
    let trusted = match trust::believed(config) {
        Ok(trusted) => trusted,
        Err(error) => {
            findings.ill(
                "seal",
                &format!("{error:#}"),
                "bring the list that `loa trust` signed, and name its root key in seal.approvers_root",
            );
            return;
        }
    };
    if trusted.ids().is_empty() {
        findings.ill(
            "seal",
            "no key is trusted, so nothing can be sent",
            "run `loa keygen seal` and fill seal.trusted_keys",
        );
    } else {
        findings.well("seal", &format!("trusted keys: {}", trusted.ids().join(", ")));
    }
    match serve::sealing_key(config, &trusted) {
        Ok(Some(key)) => {
            findings.well("seal", &format!("this machine can seal, with {:?}", key.id()));
        }
        Ok(None) => findings.note(
            "seal",
            "no sealing key: this machine cannot approve; right where only `loa dispatch` runs",
        ),
        Err(error) => findings.ill(
            "seal",
            &format!("{error:#}"),
            "let this user read the file that `loa keygen seal` made",
        ),
    }
}

/// With what people sign in.
fn sign_in(config: &Config, findings: &mut Findings) {
    if config.sign_in.password_alone && config.mode == Mode::Production {
        findings.note(
            "sign-in",
            "a password alone lets in who has neither passkey nor codes: invite everybody, then take sign_in.password_alone away",
        );
    }
    let is_weighty = |role: &str| role == "approver" || role == "administrator";
    if config.oidc.issuer.is_some()
        && config.oidc.roles.iter().any(|mapped| is_weighty(&mapped.role))
    {
        findings.note(
            "sign-in",
            "oidc.roles names approver or administrator: whoever administers the single sign-on can act as each that is linked",
        );
    }
    match console::totp_keys(&config.sign_in) {
        Ok(keys) if keys.is_empty() => {}
        Ok(_) => findings.well("sign-in", "the keys of one-time codes can be read"),
        Err(error) => findings.ill(
            "sign-in",
            &format!("{error:#}"),
            "only `loa serve` has the file: bring it there, or leave sign_in.totp_keys out here",
        ),
    }
}

/// Credentials belong to dispatchers, so a machine without any is no dispatcher, and well. One with some of them is a dispatcher;
/// a provider that it leaves out is missed only by devices.
async fn providers(config: &Config, pool: Option<&PgPool>, findings: &mut Findings) {
    if !key_files(config).any(|file| file.try_exists().unwrap_or(true)) {
        return findings.note(
            "providers",
            "no provider's key is here: this machine cannot dispatch; right where only `loa serve` runs",
        );
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let providers = match Providers::of(config, &clock) {
        Ok(providers) => providers,
        Err(error) => {
            let remedy = "let this user read the file as the provider gave it";
            return findings.ill("providers", &error.to_string(), remedy);
        }
    };
    for provider in Provider::ALL {
        if providers.has(provider) {
            findings.well(
                provider.as_str(),
                "configured, its keys can be read; `loa check-provider` asks the provider",
            );
            continue;
        }
        // A database that cannot be asked is named on its own.
        let missed = match pool {
            Some(pool) => device::any_active(pool, provider).await.unwrap_or(false),
            None => false,
        };
        if missed {
            findings.ill(
                provider.as_str(),
                "is not configured, but devices of it are registered: from here they are not reached",
                &format!("fill [{provider}]"),
            );
        } else {
            findings.note(
                provider.as_str(),
                "is not configured: right where the app has no devices of it",
            );
        }
    }
}

/// The files with the providers' keys that are named. A configuration shared by all machines names them where they are not, too.
fn key_files(config: &Config) -> impl Iterator<Item = &PathBuf> {
    let vapid = config.webpush.vapid_keys.iter().map(|key| &key.private_key_file);
    config.fcm.service_account_file.iter().chain(&config.apns.key_file).chain(vapid)
}

async fn look_into_database(config: &Config, pool: &PgPool, findings: &mut Findings) {
    match schema::server(pool).await {
        Ok(server) => {
            if server.version < OLDEST_POSTGRES {
                let major = server.version / 10_000;
                findings.ill(
                    "database",
                    &format!("PostgreSQL {major} is too old"),
                    "15 or newer is needed",
                );
            } else {
                findings
                    .well("database", &format!("PostgreSQL {} answers", server.version / 10_000));
            }
            clocks(server.now, findings);
        }
        Err(error) => findings.ill("database", &error.to_string(), "see the server's log"),
    }
    match database::schema_trouble(pool).await {
        Ok(None) => findings.well("schema", "is this release's"),
        Ok(Some(trouble)) => {
            findings.ill("schema", &trouble, "run `loa migrate`");
            return;
        }
        Err(error) => findings.ill("schema", &error.to_string(), "run `loa migrate`"),
    }
    if let Err(error) = refusal::demo_accounts(config, pool).await {
        findings.ill("accounts", &format!("{error:#}"), "disable them");
    }
    people(pool, findings).await;
    calendar::look(pool, findings).await;
    dispatchers(config, pool, findings).await;
    canaries(config, pool, findings).await;
}

/// The list of this machine, the template of probes, and what the last of them found. Where nobody probes anything, one line.
async fn canaries(config: &Config, pool: &PgPool, findings: &mut Findings) {
    let group = groups::canary(config);
    let sights = match pool.acquire().await {
        Ok(mut conn) => store::canary::sights(&mut conn).await,
        Err(error) => Err(error.into()),
    };
    let is_watched = |sight: &Sight| sight.standing() != Standing::Unwatched;
    if let (Ok(None), Ok(sights)) = (&group, &sights)
        && !sights.iter().any(is_watched)
    {
        findings.well("canary", "off: nothing is probed (canary.group_file)");
        return;
    }
    match group {
        Ok(None) => findings.note("canary", "no group here: this machine probes nothing"),
        Ok(Some(group)) => {
            let [fcm, apns, webpush] = group.word().devices;
            let what = format!("the group has {fcm} fcm, {apns} apns and {webpush} webpush");
            findings.well("canary", &what);
        }
        Err(error) => findings.ill(
            "canary",
            &format!("{error:#}"),
            "mend canary.group_file: one device a line, as for `loa devices import`",
        ),
    }
    let trusted = trust::believed(config).unwrap_or_default();
    match canary::template::open(pool, &trusted).await {
        Ok(_) => findings.well("canary", "the template of probes is sealed by a trusted key"),
        Err(error) => {
            findings.ill("canary", &error.to_string(), "start `loa serve` with the sealing key");
        }
    }
    match sights {
        Ok(sights) => sights.iter().for_each(|sight| look_along(sight, findings)),
        Err(error) => findings.ill("canary", &error.to_string(), "see the database's log"),
    }
}

/// What the last probe of one provider's road found.
fn look_along(sight: &Sight, findings: &mut Findings) {
    let what = sight.in_detail(Tongue::En);
    match sight.standing() {
        Standing::Open => findings.well("canary", &what),
        Standing::Unwatched | Standing::Awaited => findings.note("canary", &what),
        Standing::Failed | Standing::Stale => {
            findings.ill("canary", &what, "docs/runbooks/canary-fails.md");
        }
    }
}

/// Nobody approves who is not known, or what such a person wrote.
async fn people(pool: &PgPool, findings: &mut Findings) {
    let unnamed = match pool.acquire().await {
        Ok(mut conn) => account::unnamed(&mut conn).await,
        Err(error) => Err(error.into()),
    };
    match unnamed {
        Ok(logins) if logins.is_empty() => {
            findings.well("accounts", "of each it was said whose it is");
        }
        Ok(logins) => findings.ill(
            "accounts",
            &format!("nobody has said whose they are: {}", logins.join(", ")),
            "`loa accounts person`; once there are two administrators, close an approver's or administrator's account and open a new one",
        ),
        Err(error) => findings.ill("accounts", &error.to_string(), "see the database's log"),
    }
}

fn clocks(database: OffsetDateTime, findings: &mut Findings) {
    let apart = (SystemClock.now() - database).abs();
    if apart > CLOCK_TOLERANCE {
        findings.ill(
            "clocks",
            &format!("this machine and the database are {} s apart", apart.whole_seconds()),
            "let both follow NTP; providers refuse tokens of the wrong hour",
        );
    } else {
        findings.well("clocks", "this machine and the database agree");
    }
}

async fn dispatchers(config: &Config, pool: &PgPool, findings: &mut Findings) {
    match liveness::live_dispatchers(pool).await {
        Ok(live) if live.is_empty() => {
            findings.ill("dispatchers", "none is alive", "start `loa dispatch`");
        }
        Ok(live) => {
            // A list that cannot be read has been named already.
            let trusted = trust::believed(config).unwrap_or_default();
            let key = &config.seal.key_id;
            let key = (!key.is_empty()).then(|| trusted.announced(key));
            for dispatcher in live {
                let parked = dispatcher.parked.as_object().filter(|parked| !parked.is_empty());
                if let Some(parked) = parked {
                    for (provider, reason) in parked {
                        let what = format!("{} has parked {provider}: {reason}", dispatcher.host);
                        findings.ill("dispatchers", &what, "docs/runbooks/provider-parked.md");
                    }
                } else {
                    findings.well("dispatchers", &format!("{} is alive", dispatcher.host));
                }
                if let Some(key) = &key
                    && !dispatcher.trusted_keys.contains(key)
                {
                    let what = format!("{} does not trust {key:?}", dispatcher.host);
                    findings.ill(
                        "dispatchers",
                        &what,
                        "add it to that dispatcher's seal.trusted_keys",
                    );
                }
            }
        }
        Err(error) => findings.ill("dispatchers", &error.to_string(), "see the database's log"),
    }
    match forgetting::suspended(pool).await {
        Ok(suspended) => {
            for (provider, since) in suspended {
                findings.ill(
                    "forgetting",
                    &format!("suspended for {provider} since {since}"),
                    "docs/runbooks/forgetting-suspended.md",
                );
            }
        }
        Err(error) => findings.ill("forgetting", &error.to_string(), "see the database's log"),
    }
}

async fn broker(config: &Config, findings: &mut Findings) {
    let broker = Broker::start(&config.broker, "doctor");
    // The first word of it is the answer; it would go on trying.
    let mut states = broker.watch();
    let told = tokio::time::timeout(BROKER_PATIENCE, states.changed()).await.is_ok();
    match broker.trouble() {
        None => findings.well("broker", "RabbitMQ answers, the topology is declared"),
        Some(trouble) => {
            let silence = format!("no answer within {} s", BROKER_PATIENCE.as_secs());
            let what = if told { trouble.as_ref() } else { silence.as_str() };
            findings.ill("broker", what, "start RabbitMQ, or mend broker.url (AMQP_URL)");
        }
    }
    broker.close();
}

#[derive(Default)]
struct Findings {
    well: u32,
    notes: u32,
    ill: u32,
}

impl Findings {
    fn well(&mut self, part: &str, what: &str) {
        self.well += 1;
        println!("ok    {part:<14} {what}");
    }

    /// Neither right nor wrong by itself: the operator knows what this machine is for.
    fn note(&mut self, part: &str, what: &str) {
        self.notes += 1;
        println!("note  {part:<14} {what}");
    }

    fn ill(&mut self, part: &str, what: &str, remedy: &str) {
        self.ill += 1;
        println!("WRONG {part:<14} {what}\n      {:<14} → {remedy}", "");
    }

    fn code(&self) -> ExitCode {
        let Self { well, notes, ill } = self;
        println!("{well} ok, {notes} to note, {ill} wrong");
        if *ill > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}
