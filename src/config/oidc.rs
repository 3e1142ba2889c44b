//! The province's single sign-on (OpenID Connect).

use std::path::PathBuf;

use serde::Deserialize;

use super::secret::{optional_path, optional_text, read_file};
use super::{Mode, Problem, Problems, Secret};
use crate::domain::account::Role;

/// `[oidc]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// Who says who somebody is, as its tokens name it. None: there is no single sign-on.
    #[serde(deserialize_with = "optional_text")]
    pub issuer: Option<String>,
    /// What we are called there.
    pub client_id: String,
    /// What proves that we are it.
    #[serde(deserialize_with = "optional_path")]
    pub client_secret_file: Option<PathBuf>,
    /// The only authority whose certificate of the issuer is believed, where it is the province's own.
    #[serde(deserialize_with = "optional_path")]
    pub ca_file: Option<PathBuf>,
    /// The claim that says whom an account belongs to.
    pub person_claim: String,
    /// The claim with what decides roles.
    pub roles_claim: String,
    /// Which of its values let in an account of which role.
    pub roles: Vec<MappedRole>,
    /// One of these classes of sign-in is required, where any is named.
    pub acr: Vec<String>,
    /// All of these ways to sign in are required.
    pub amr: Vec<String>,
}

/// One value of the claim.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappedRole {
    /// The value.
    pub value: String,
    /// The account's role, as loa calls it.
    pub role: String,
}

impl Oidc {
    /// What proves who we are, where there is any.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn client_secret(&self) -> Result<Option<Secret<String>>, Problem> {
        let key = "oidc.client_secret_file";
        let Some(path) = &self.client_secret_file else { return Ok(None) };
        let bytes = read_file(key, path)?;
        let text = String::from_utf8_lossy(bytes.expose()).trim().to_owned();
        Ok(Some(Secret::new(text)))
    }

    /// Does it let in an account of this role?
    pub fn lets_in(&self, values: &[String], role: Role) -> bool {
        self.roles
            .iter()
            .any(|mapped| mapped.role == role.as_str() && values.contains(&mapped.value))
    }

    pub(super) fn check(&self, mode: Mode, problems: &mut Problems) {
        let Some(issuer) = &self.issuer else { return };
        if !is_safe(issuer, mode) {
            problems.add("oidc.issuer", "is no https address", "write it as its tokens name it");
        }
        if self.client_id.is_empty() {
            problems.add("oidc.client_id", "is not set", "register loa at the issuer");
        }
        if self.roles.is_empty() {
            problems.add(
                "oidc.roles",
                "is empty, so nobody is let in",
                "name the values of roles_claim",
            );
        }
        for mapped in &self.roles {
            if Role::from_word(&mapped.role).is_none() {
                problems.add(
                    "oidc.roles",
                    format!("{:?} is no role", mapped.role),
                    "the roles are those of `loa accounts officer --help`",
                );
            }
        }
    }
}

/// May this issuer be believed? Only a demo's is asked without TLS.
pub(super) fn is_safe(issuer: &str, mode: Mode) -> bool {
    let is_safe = issuer.starts_with("https://")
        || (mode == Mode::Demo && issuer.starts_with("http://127.0.0.1:"));
    is_safe && url::Url::parse(issuer).is_ok()
}
