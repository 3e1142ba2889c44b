//! What a simulator directory holds: made on first use, read again ever after, so that a restarted simulator is the
//! same Google project, the same Apple team and the same Web Push service as before, on the same ports.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::KeyPair;
use ring::rand::{SecureRandom, SystemRandom};
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::webpush::vendor::Vendor;

/// Bundle identifier of the simulated app.
pub const TOPIC: &str = "vn.example.congdanso";
/// Google project of the simulated app.
pub const PROJECT: &str = "congdanso-sim";
/// The same project by number, which Google accepts as well.
pub const PROJECT_NUMBER: &str = "480912345678";
/// Apple team.
pub const TEAM: &str = "CB1A2N3G4T";
/// Key id of `apns-key.p8`.
pub const APNS_KEY: &str = "LOA1SIM2K3";
/// Key id of `apns-key-2.p8`, a second key that is not related to the first.
pub const APNS_SECOND_KEY: &str = "LOA2SIM4K5";
/// Key id of `apns-key-sandbox.p8`, which Apple issued for the sandbox only.
pub const APNS_SANDBOX_KEY: &str = "LOA3SBX6K7";
/// How the demo registrations name the key of `vapid.pem`.
pub const VAPID_KEY: &str = "vapid-1";

/// Ports asked for; 0 means the remembered one, else any free one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
    /// FCM and the OAuth token endpoint.
    pub fcm: u16,
    /// APNs production.
    pub apns: u16,
    /// APNs sandbox.
    pub apns_sandbox: u16,
    /// Web Push.
    pub webpush: u16,
    /// Control API, plain HTTP.
    pub control: u16,
}

/// The bound listeners, in the order of [`Ports`].
pub struct Listeners {
    /// FCM and the OAuth token endpoint.
    pub fcm: TcpListener,
    /// APNs production.
    pub apns: TcpListener,
    /// APNs sandbox.
    pub apns_sandbox: TcpListener,
    /// Web Push.
    pub webpush: TcpListener,
    /// Control API.
    pub control: TcpListener,
    /// The vendors' push services, at remembered or any ports.
    pub vendors: BTreeMap<Vendor, TcpListener>,
}

/// Everything a client has to know; the content of `sim.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Site {
    /// Base URL of FCM, without a path.
    pub fcm_url: String,
    /// The OAuth token endpoint.
    pub token_uri: String,
    /// APNs production.
    pub apns_url: String,
    /// APNs sandbox.
    pub apns_sandbox_url: String,
    /// Web Push; endpoints are `{webpush_url}/wpush/v2/…`.
    pub webpush_url: String,
    /// The vendors' push services, each an origin of its own.
    #[serde(default)]
    pub push_services: BTreeMap<Vendor, String>,
    /// Control API, plain HTTP on loopback.
    pub control_url: String,
    /// `host:port` of each listener.
    pub listen: SiteAddresses,
    /// Google project id.
    pub project_id: String,
    /// APNs topic.
    pub topic: String,
    /// Apple team.
    pub team_id: String,
    /// Key id of `apns_key`.
    pub apns_key_id: String,
    /// Name of the VAPID key in demo registrations.
    pub vapid_key_id: String,
    /// Its public half, base64url, 65 bytes.
    pub vapid_public_key: String,
    /// The service account's address.
    pub client_email: String,
    /// The service account key's id.
    pub private_key_id: String,
    /// Absolute paths of what is in the directory.
    pub files: SiteFiles,
}

/// `host:port` of each listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SiteAddresses {
    /// FCM and the OAuth token endpoint.
    pub fcm: SocketAddr,
    /// APNs production.
    pub apns: SocketAddr,
    /// APNs sandbox.
    pub apns_sandbox: SocketAddr,
    /// Web Push.
    pub webpush: SocketAddr,
    /// Control API.
    pub control: SocketAddr,
    /// The vendors' push services.
    #[serde(default)]
    pub vendors: BTreeMap<Vendor, SocketAddr>,
}

/// Absolute paths of what is in the directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SiteFiles {
    /// The authority clients must trust.
    pub ca: PathBuf,
    /// Google service account, JSON.
    pub fcm_service_account: PathBuf,
    /// APNs signing key.
    pub apns_key: PathBuf,
    /// A second, unrelated APNs signing key.
    pub apns_second_key: PathBuf,
    /// An APNs signing key for the sandbox only.
    pub apns_sandbox_key: PathBuf,
    /// VAPID key, PKCS#8.
    pub vapid: PathBuf,
    /// The sections of loa's configuration that lead it here instead of to the real providers.
    pub providers: PathBuf,
}

impl SiteFiles {
    fn in_dir(dir: &Path) -> Self {
        Self {
            ca: dir.join("ca.pem"),
            fcm_service_account: dir.join("fcm-service-account.json"),
            apns_key: dir.join("apns-key.p8"),
            apns_second_key: dir.join("apns-key-2.p8"),
            apns_sandbox_key: dir.join("apns-key-sandbox.p8"),
            vapid: dir.join("vapid.pem"),
            providers: dir.join("providers.toml"),
        }
    }
}

impl Site {
    /// Makes or reads the directory's keys, chooses ports and writes `sim.json`.
    pub fn prepare(dir: &Path, listen: IpAddr, asked: Ports) -> Result<(Self, Listeners)> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let dir = dir.canonicalize()?;
        let remembered = Self::read(&dir).ok().map(|site| site.listen);
        let known = remembered.as_ref();
        let listeners = Listeners {
            fcm: bind(listen, asked.fcm, known.map(|at| at.fcm))?,
            apns: bind(listen, asked.apns, known.map(|at| at.apns))?,
            apns_sandbox: bind(listen, asked.apns_sandbox, known.map(|at| at.apns_sandbox))?,
            webpush: bind(listen, asked.webpush, known.map(|at| at.webpush))?,
            control: bind(listen, asked.control, known.map(|at| at.control))?,
            vendors: [Vendor::Google, Vendor::Mozilla, Vendor::Apple, Vendor::Wns]
                .into_iter()
                .map(|vendor| {
                    let known = known.and_then(|at| at.vendors.get(&vendor)).copied();
                    Ok((vendor, bind(listen, 0, known)?))
                })
                .collect::<Result<_>>()?,
        };
        let at = SiteAddresses {
            fcm: listeners.fcm.local_addr()?,
            apns: listeners.apns.local_addr()?,
            apns_sandbox: listeners.apns_sandbox.local_addr()?,
            webpush: listeners.webpush.local_addr()?,
            control: listeners.control.local_addr()?,
            vendors: listeners
                .vendors
                .iter()
                .map(|(vendor, listener)| Ok((*vendor, listener.local_addr()?)))
                .collect::<Result<_>>()?,
        };
        let files = SiteFiles::in_dir(&dir);
        for path in [&files.apns_key, &files.apns_second_key, &files.apns_sandbox_key, &files.vapid]
        {
            if !path.exists() {
                write_secret(path, &KeyPair::generate()?.serialize_pem())?;
            }
        }
        let token_uri = format!("https://{}/token", at.fcm);
        let account = service_account(&files.fcm_service_account, &token_uri)?;
        let site = Self {
            fcm_url: format!("https://{}", at.fcm),
            apns_url: format!("https://{}", at.apns),
            apns_sandbox_url: format!("https://{}", at.apns_sandbox),
            webpush_url: format!("https://{}", at.webpush),
            push_services: at
                .vendors
                .iter()
                .map(|(vendor, at)| (*vendor, format!("https://{at}")))
                .collect(),
            control_url: format!("http://{}", at.control),
            token_uri,
            project_id: PROJECT.to_owned(),
            topic: TOPIC.to_owned(),
            team_id: TEAM.to_owned(),
            apns_key_id: APNS_KEY.to_owned(),
            vapid_key_id: VAPID_KEY.to_owned(),
            vapid_public_key: URL_SAFE_NO_PAD.encode(public_key(&files.vapid)?),
            client_email: text_of(&account, "client_email")?,
            private_key_id: text_of(&account, "private_key_id")?,
            listen: at,
            files,
        };
        std::fs::write(dir.join("sim.json"), serde_json::to_string_pretty(&site)?)?;
        std::fs::write(&site.files.providers, site.providers())?;
        Ok((site, listeners))
    }

    /// The origin of a vendor's push service.
    pub fn push_service(&self, vendor: Vendor) -> &str {
        self.push_services.get(&vendor).unwrap_or(&self.webpush_url)
    }

    fn providers(&self) -> String {
        let Self { files, fcm_url, apns_url, apns_sandbox_url, topic, team_id, .. } = self;
        let Self { apns_key_id, vapid_key_id, vapid_public_key, .. } = self;
        let quoted = |path: &Path| format!("{:?}", path.display().to_string());
        let [ca, account, apns_key, vapid] =
            [&files.ca, &files.fcm_service_account, &files.apns_key, &files.vapid]
                .map(|path| quoted(path));
        format!(
            r#"# Written by loa-sim at each start: simulated providers, generated keys. Not for real phones.
[fcm]
service_account_file = {account}
endpoint = "{fcm_url}"
connection.ca_file = {ca}

[apns]
key_file = {apns_key}
key_id = "{apns_key_id}"
team_id = "{team_id}"
topic = "{topic}"
production_endpoint = "{apns_url}"
sandbox_endpoint = "{apns_sandbox_url}"
connection.ca_file = {ca}

[webpush]
subject = "mailto:truc@loa.example.vn"
vapid_keys = [{{ id = "{vapid_key_id}", private_key_file = {vapid}, public_key = "{vapid_public_key}" }}]
current_key = "{vapid_key_id}"
allow_loopback = true
connection.ca_file = {ca}
"#
        )
    }

    /// What an earlier run wrote.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("sim.json");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not what loa-sim writes", path.display()))
    }

    /// The modulus and exponent of the service account's key, PKCS#1 DER, for `ring`.
    pub fn service_account_public_key(&self) -> Result<Vec<u8>> {
        let path = &self.files.fcm_service_account;
        let account: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
        let pem = text_of(&account, "private_key")?;
        let key = <rsa::RsaPrivateKey as rsa::pkcs8::DecodePrivateKey>::from_pkcs8_pem(&pem)
            .with_context(|| format!("private_key of {}", path.display()))?;
        let der = rsa::pkcs1::EncodeRsaPublicKey::to_pkcs1_der(&key.to_public_key())?;
        Ok(der.as_bytes().to_vec())
    }
}

/// The public point of a PKCS#8 P-256 key file: 65 bytes, uncompressed.
pub fn public_key(path: &Path) -> Result<Vec<u8>> {
    let pem =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let key = KeyPair::from_pem(&pem)
        .with_context(|| format!("{} is not a PKCS#8 key", path.display()))?;
    Ok(key.public_key_raw().to_vec())
}

fn bind(listen: IpAddr, asked: u16, remembered: Option<SocketAddr>) -> Result<TcpListener> {
    let remembered = remembered.filter(|at| at.ip() == listen).map_or(0, |at| at.port());
    let listener = if asked != 0 {
        TcpListener::bind((listen, asked))
            .with_context(|| format!("cannot listen on {listen}:{asked}"))?
    } else if let Ok(listener) = TcpListener::bind((listen, remembered)) {
        listener
    } else {
        TcpListener::bind((listen, 0)).with_context(|| format!("cannot listen on {listen}"))?
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Reads the service account, or makes one; its `token_uri` always names the port of today.
fn service_account(path: &Path, token_uri: &str) -> Result<Value> {
    let mut account = if path.exists() {
        serde_json::from_str(&std::fs::read_to_string(path)?)
            .with_context(|| format!("{} is not JSON", path.display()))?
    } else {
        new_service_account()?
    };
    if account["token_uri"] != token_uri {
        account["token_uri"] = json!(token_uri);
        write_secret(path, &serde_json::to_string_pretty(&account)?)?;
    }
    Ok(account)
}

fn new_service_account() -> Result<Value> {
    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048)?;
    let mut id = [0; 20];
    SystemRandom::new()
        .fill(&mut id)
        .map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
    let id = hex(&id);
    Ok(json!({
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": id,
        "private_key": key.to_pkcs8_pem(LineEnding::LF)?.as_str(),
        "client_email": format!("loa@{PROJECT}.iam.gserviceaccount.com"),
        "client_id": "103456789012345678901",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "universe_domain": "googleapis.com",
    }))
}

fn text_of(account: &Value, name: &str) -> Result<String> {
    account[name]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("the service account has no {name}"))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Writes a key so that only its owner can read it.
fn write_secret(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}
