//! The operator's commands: each does one thing, shows its progress on standard error, and answers on standard output.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr as _;

use anyhow::{Context as _, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::{Args, Subcommand};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use sqlx::{ConnectOptions as _, PgPool};

use super::accounts::operator;
use super::{database, runtime};
use crate::config::Config;
use crate::config::database::Database;
use crate::domain::device::Provider;
use crate::domain::registration::WebPushRules;
use crate::domain::seal::SealingKey;
use crate::push::jwt::Es256Key;
use crate::queue::{Broker, Publisher, dead, topology};
use crate::random;
use crate::registry::import;
use crate::store::{MIGRATOR, audit, forgetting, schema};
use crate::upkeep::dead_letters;

/// What can be done with devices.
#[derive(Subcommand)]
pub enum Devices {
    /// Imports registrations, one JSON document a line, by COPY. Refused lines go to the report with number and reason.
    Import {
        /// The file.
        file: PathBuf,
        /// Where refused lines are reported; the file's name with `.refused` by default.
        #[arg(long)]
        report: Option<PathBuf>,
    },
}

/// Which dead letters.
#[derive(Args)]
pub struct Replay {
    /// Only list them.
    #[arg(long)]
    list: bool,
    /// Only those of this queue.
    #[arg(long)]
    queue: Option<String>,
    /// Only those whose reason contains this.
    #[arg(long)]
    reason: Option<String>,
    /// Only the one with this message id.
    #[arg(long)]
    message_id: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 1000)]
    limit: usize,
}

/// What kind of key.
#[derive(Subcommand)]
pub enum Keygen {
    /// An Ed25519 key that seals alerts; prints the line for `seal.trusted_keys`.
    Seal {
        /// Where the private key goes; never overwritten.
        #[arg(long)]
        out: PathBuf,
        /// The key's name.
        #[arg(long)]
        id: String,
    },
    /// A P-256 key for Web Push (VAPID).
    Vapid {
        /// Where the private key goes; never overwritten.
        #[arg(long)]
        out: PathBuf,
    },
    /// A key that encrypts the secrets of one-time codes; prints the line for `sign_in.totp_keys`.
    Totp {
        /// Where the key goes; never overwritten.
        #[arg(long)]
        out: PathBuf,
        /// The key's name.
        #[arg(long)]
        id: String,
    },
}

/// Which provider's brake is released.
#[derive(Args)]
pub struct ReleaseForgetting {
    /// fcm, apns or webpush.
    provider: Provider,
}

/// What is printed.
#[derive(Args)]
pub struct Definitions {
    /// The virtual host they are for.
    #[arg(long, default_value = "/")]
    vhost: String,
}

/// Brings the database's schema to this release's.
pub fn migrate(config: &Database) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let pool = pool(config).await?;
        MIGRATOR.run(&pool).await.context("the schema could not be brought up")?;
        println!("the schema is this release's");
        Ok(())
    })
}

/// Imports devices; exit status 2 when lines were refused.
pub fn devices(config: &Config, command: Devices) -> anyhow::Result<ExitCode> {
    let Devices::Import { file, report } = command;
    let report = report.unwrap_or_else(|| {
        let mut name = file.clone().into_os_string();
        name.push(".refused");
        name.into()
    });
    runtime()?.block_on(async {
        let pool = pool(&config.database).await?;
        let rules = web_push_rules(config);
        let summary = import::import_file(&pool, rules, &file, &report).await?;
        let done = json!({"lines": summary.lines, "numbered": summary.numbered, "changed": summary.changed, "refused": summary.refused});
        let mut tx = pool.begin().await?;
        audit::append(&mut tx, &operator(), "devices.imported", "devices", done).await?;
        tx.commit().await?;
        // The planner's index scans need a fresh visibility map after a mass change.
        schema::refresh_devices(&pool).await?;
        println!(
            "{} lines: {} new or moved, {} changed, {} unchanged, {} superseded, {} stayed away, {} refused",
            summary.lines,
            summary.numbered,
            summary.changed,
            summary.unchanged,
            summary.superseded,
            summary.stayed_away,
            summary.refused
        );
        if summary.refused > 0 {
            eprintln!("refused lines are in {}", report.display());
            return Ok(ExitCode::from(2));
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Which subscriptions are believed.
pub fn web_push_rules(config: &Config) -> WebPushRules {
    WebPushRules {
        allowed_hosts: config.webpush.allowed_hosts.clone(),
        allow_loopback: config.webpush.allow_loopback,
        vapid_keys: config.webpush.vapid_keys.iter().map(|key| key.id.clone()).collect(),
    }
}

/// Lists dead letters, or sends them back.
pub fn replay(config: &Config, command: &Replay) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let broker = Broker::start(&config.broker, "replay");
        if command.list {
            for letter in dead::list(&broker, command.limit).await? {
                println!(
                    "{}\t{}\t{} B\t{}",
                    letter.queue.as_deref().unwrap_or("?"),
                    letter.message_id.as_deref().unwrap_or("?"),
                    letter.length,
                    letter.reason
                );
            }
            return Ok(());
        }
        let publisher = Publisher::new(&broker);
        let filter = dead::Filter {
            queue: command.queue.clone(),
            reason: command.reason.clone(),
            message_id: command.message_id.clone(),
        };
        let pool = pool(&config.database).await?;
        let connections = (&broker, &publisher);
        let replayed =
            dead_letters::replay(&pool, connections, &operator(), &filter, command.limit).await?;
        println!(
            "sent back: {}, left: {}, stuck: {}",
            replayed.moved, replayed.left, replayed.stuck
        );
        Ok(())
    })
}

/// Makes a key. The file is readable by its owner only and never overwritten.
pub fn keygen(command: &Keygen) -> anyhow::Result<()> {
    match command {
        Keygen::Seal { out, id } => {
            let key = SealingKey::generate()?;
            write_secret(out, &key)?;
            let public = SealingKey::from_pkcs8(id, &key)?.public();
            let encoded = URL_SAFE_NO_PAD.encode(public);
            println!("{{ id = \"{id}\", public_key = \"{encoded}\" }}");
        }
        Keygen::Vapid { out } => {
            let pem = p256_pem()?;
            write_secret(out, pem.as_bytes())?;
            let key = Es256Key::from_pem(pem.as_bytes()).map_err(|what| anyhow!("{what}"))?;
            // What a browser's `applicationServerKey` wants.
            println!("{}", URL_SAFE_NO_PAD.encode(key.public()));
        }
        Keygen::Totp { out, id } => {
            write_secret(out, format!("{}\n", random::token()?).as_bytes())?;
            let file = std::path::absolute(out)?;
            println!("{{ id = \"{id}\", file = \"{}\" }}", file.display());
        }
    }
    Ok(())
}

/// A new P-256 key as PKCS#8 PEM (RFC 7468).
fn p256_pem() -> anyhow::Result<String> {
    let rng = SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng)
        .map_err(|_| anyhow!("the system gave no random bytes"))?;
    let text = STANDARD.encode(der.as_ref());
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for start in (0..text.len()).step_by(64) {
        pem.push_str(&text[start..text.len().min(start + 64)]);
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    Ok(pem)
}

/// A new file that only its owner reads; never overwrites one.
pub(super) fn write_secret(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{} cannot be made", path.display()))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(())
}

/// A person has looked.
pub fn release_forgetting(config: &Config, command: &ReleaseForgetting) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let mut tx = pool(&config.database).await?.begin().await?;
        forgetting::release(&mut tx, command.provider).await?;
        let provider = command.provider.to_string();
        audit::append(&mut tx, &operator(), "forgetting.released", &provider, json!({})).await?;
        tx.commit().await?;
        println!("{}: dead addresses are forgotten again", command.provider);
        Ok(())
    })
}

/// RabbitMQ's definitions, importable as they are.
pub fn definitions(command: &Definitions) -> anyhow::Result<()> {
    let definitions = topology::definitions(&command.vhost);
    println!("{}", serde_json::to_string_pretty(&definitions)?);
    Ok(())
}

/// A small pool for one command.
pub async fn pool(config: &Database) -> anyhow::Result<PgPool> {
    let url = config.url.expose();
    ensure!(!url.is_empty(), "database.url: is not set; give it there or by DATABASE_URL");
    let options = sqlx::postgres::PgConnectOptions::from_str(url)
        .context("database.url is no PostgreSQL URL")?
        .application_name("loa command")
        .disable_statement_logging();
    database::reach(&options)
        .await
        .map_err(|why| anyhow!("the database (database.url) does not answer: {why}"))?;
    Ok(PgPoolOptions::new().max_connections(4).connect_lazy_with(options))
}
