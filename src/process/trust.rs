//! `loa trust …`: whose passkeys seal. For a machine without a network, with the root key on it and nothing else of loa: no configuration,
//! no database.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;
use time::OffsetDateTime;

use super::command::write_secret;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::config::audit::Audit;
use crate::config::seal::Seal;
use crate::domain::authority::claim;
use crate::domain::seal::passkey::Site;
use crate::domain::seal::trust::{Approver, CertificationRequest, RootKey, Trust, TrustFile};
use crate::domain::seal::{Approvers, Quorum, SealingKey, TrustedKeys};

/// What is done about trust.
#[derive(Subcommand)]
pub enum Command {
    /// Makes the root key and a list of nobody; prints the line for `seal.approvers_root`.
    Init {
        /// Where the root key goes; never overwritten. It stays on this machine, and a copy of it in a safe.
        #[arg(long)]
        root: PathBuf,
        /// Where the list goes; never overwritten.
        #[arg(long)]
        file: PathBuf,
        /// The relying party of the approvers' passkeys: the console's host, or a domain above it.
        #[arg(long)]
        rp_id: String,
        /// Where the console is, as `https://loa.caobang.gov.vn`; once for each address.
        #[arg(long = "origin", required = true)]
        origins: Vec<String>,
    },
    /// Adds an approver's passkey to the list.
    Certify {
        /// The root key.
        #[arg(long)]
        root: PathBuf,
        /// The list.
        #[arg(long)]
        file: PathBuf,
        /// What the approver's console page gave.
        #[arg(long)]
        request: PathBuf,
        /// What the approver reads on that page, told by another way than the request came.
        #[arg(long)]
        fingerprint: String,
    },
    /// Ends trust in a passkey.
    Revoke {
        /// The root key.
        #[arg(long)]
        root: PathBuf,
        /// The list.
        #[arg(long)]
        file: PathBuf,
        /// Which, as `loa trust show` names it.
        #[arg(long)]
        credential: String,
    },
    /// Prints the list, if the root key signed it.
    Show {
        /// The list.
        #[arg(long)]
        file: PathBuf,
        /// The root key's public half, as `init` printed it.
        #[arg(long)]
        root_public: String,
    },
}

/// Everything this process believes: the keys of its configuration, and the approvers its root key has certified.
///
/// # Errors
/// When there is a list of approvers that cannot be read or that the root key did not sign.
pub fn believed(config: &Config) -> anyhow::Result<TrustedKeys> {
    believed_of(&config.seal)
}

/// The console must be where approvers' passkeys answer: elsewhere nobody could sign in, or every seal would be refused, which would show
/// only on the night.
///
/// # Errors
/// When `http.public_url` is not one of the origins in the list of approvers, or not below its relying party.
pub fn check_console(config: &Config, trusted: &TrustedKeys) -> anyhow::Result<()> {
    let (Some(approvers), Some(base)) = (trusted.approvers(), &config.http.public_url) else {
        return Ok(());
    };
    let Site { rp_id, origins } = &approvers.trust.site;
    ensure!(
        origins.iter().any(|origin| origin == base),
        "http.public_url: {base} is not an origin of seal.approvers_file, which names {}; approvers could seal nothing there",
        origins.join(", ")
    );
    let host = url::Url::parse(base).ok().and_then(|url| url.host_str().map(str::to_owned));
    ensure!(
        host.is_some_and(|host| host == *rp_id || host.ends_with(&format!(".{rp_id}"))),
        "http.public_url: {base} is not at or below {rp_id}, for which the passkeys of seal.approvers_file were made"
    );
    Ok(())
}

/// What is believed when looking back: that, and keys of the past.
///
/// # Errors
/// As [`believed`].
pub fn believed_looking_back(seal: &Seal, audit: &Audit) -> anyhow::Result<TrustedKeys> {
    let past = audit.past_keys.iter().map(|key| (key.id.clone(), key.public_key));
    Ok(believed_of(seal)?.looking_back(past))
}

fn believed_of(seal: &Seal) -> anyhow::Result<TrustedKeys> {
    let keys =
        TrustedKeys::of(seal.trusted_keys.iter().map(|key| (key.id.clone(), key.public_key)));
    let keys = keys.with_quorum(Quorum::of_an_emergency(seal.emergency_approvers.into()));
    let Some(trust) = list(seal)? else { return Ok(keys) };
    Ok(keys
        .with_approvers(Approvers { trust: Arc::new(trust), alone: !seal.server_key_seals_alerts }))
}

/// The list of approvers as it lies there, if the root key signed it.
///
/// # Errors
/// When it cannot be read, or that key did not.
pub fn list(seal: &Seal) -> anyhow::Result<Option<Trust>> {
    let Some(list) = seal.approvers().map_err(|problem| anyhow::anyhow!("{problem}"))? else {
        return Ok(None);
    };
    let file: TrustFile = serde_json::from_slice(&list.bytes)
        .context("seal.approvers_file: is no list of approvers")?;
    file.open(&list.root).context("seal.approvers_file").map(Some)
}

/// Does it.
pub fn run(command: Command) -> anyhow::Result<()> {
    let now = SystemClock.now().replace_nanosecond(0)?;
    match command {
        Command::Init { root, file, rp_id, origins } => {
            init(&root, &file, Site { rp_id, origins }, now)
        }
        Command::Certify { root, file, request, fingerprint } => {
            let request: CertificationRequest = read(&request)?;
            ensure!(
                request.fingerprint() == fingerprint.trim().to_ascii_lowercase(),
                "the fingerprint of this request is {}: it is not the one the approver reads; nothing was certified",
                request.fingerprint()
            );
            let CertificationRequest { credential, officer, person, passkey } = request;
            let mut broken = Vec::new();
            let person = claim(&person, &mut broken);
            ensure!(broken.is_empty(), "the request's person is none that an account could have");
            let approver =
                Approver { credential, officer, person, passkey, since: now, revoked: None };
            change(&root, &file, |trust| Ok(trust.certify(approver)?))
        }
        Command::Revoke { root, file, credential } => {
            change(&root, &file, |trust| Ok(trust.revoke(&credential, now)?))
        }
        Command::Show { file, root_public } => {
            let root: [u8; 32] = URL_SAFE_NO_PAD
                .decode(root_public.trim_end_matches('='))
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .context(
                    "--root-public: 43 characters of base64url, as `loa trust init` printed",
                )?;
            let trust = read::<TrustFile>(&file)?.open(&root)?;
            println!("{}", serde_json::to_string_pretty(&trust)?);
            Ok(())
        }
    }
}

fn init(root: &Path, file: &Path, site: Site, now: OffsetDateTime) -> anyhow::Result<()> {
    check_site(&site)?;
    ensure!(
        !file.exists(),
        "{} is there already; a list is changed, never begun anew",
        file.display()
    );
    let pkcs8 = SealingKey::generate()?;
    let key = RootKey::from_pkcs8(&pkcs8)?;
    write_secret(root, &pkcs8)?;
    write(file, &key.sign(&Trust::empty(site, now)))?;
    println!("approvers_root = \"{}\"", URL_SAFE_NO_PAD.encode(key.public()));
    Ok(())
}

/// A browser gives the relying party's id to no page outside it, so a list that says otherwise could never be used.
fn check_site(site: &Site) -> anyhow::Result<()> {
    for origin in &site.origins {
        let url: url::Url = origin.parse().with_context(|| format!("--origin {origin}"))?;
        ensure!(
            url.origin().ascii_serialization() == *origin,
            "--origin {origin}: scheme, host and port only, as {}",
            url.origin().ascii_serialization()
        );
        let host = url.host_str().unwrap_or_default();
        let inside = host == site.rp_id || host.ends_with(&format!(".{}", site.rp_id));
        ensure!(inside, "--origin {origin}: is not of --rp-id {}", site.rp_id);
        if url.scheme() != "https" && host != "localhost" {
            bail!("--origin {origin}: passkeys need https");
        }
    }
    Ok(())
}

/// Opens the list with the key that signs it, changes it, and puts the new one in its place, whole or not at all.
fn change(
    root: &Path,
    file: &Path,
    how: impl FnOnce(Trust) -> anyhow::Result<Trust>,
) -> anyhow::Result<()> {
    let pkcs8 = fs::read(root).with_context(|| format!("{} cannot be read", root.display()))?;
    let key = RootKey::from_pkcs8(&pkcs8)?;
    let trust = read::<TrustFile>(file)?.open(&key.public())?;
    let trust = how(trust)?;
    write(file, &key.sign(&trust))?;
    let valid = trust.approvers.iter().filter(|approver| approver.revoked.is_none()).count();
    println!("list {}: {valid} of {} passkeys are valid", trust.serial, trust.approvers.len());
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not what it should be", path.display()))
}

fn write(path: &Path, file: &TrustFile) -> anyhow::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut text = serde_json::to_string_pretty(file)?;
    text.push('\n');
    let mut new = fs::File::create(&beside)
        .with_context(|| format!("{} cannot be made", Path::new(&beside).display()))?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    fs::rename(&beside, path).with_context(|| format!("{} cannot be written", path.display()))
}
