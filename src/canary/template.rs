//! Sealing the template of probes, so that dispatchers can verify it like anything else that is pushed (invariant 1).

use sqlx::PgPool;

use crate::domain::canary::{TEMPLATE, Template};
use crate::domain::seal::{SealError, SealingKey, TrustedKeys, canonical};
use crate::store::seal::StoredSeal;
use crate::store::{StoreError, notice};

/// Seals and stores this release's template under `key`. Doing it again changes nothing.
pub async fn seal(pool: &PgPool, key: &SealingKey) -> Result<(), StoreError> {
    let sealed = canonical(&Template::built_in());
    let signature = key.seal(&sealed);
    let seal = StoredSeal { sealed, key_id: key.id().to_owned(), signature };
    notice::store_template(pool, TEMPLATE, &seal).await
}

/// Why there is no template to probe with.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// None is stored: no `loa serve` with a sealing key has started since the upgrade.
    #[error("the template of probes has not been sealed yet")]
    Unsealed,
    /// None of those stored can be believed. The last reason.
    #[error("the template of probes cannot be believed: {0}")]
    Unbelieved(SealError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The template as a key sealed it that this process trusts.
pub async fn open(pool: &PgPool, trusted: &TrustedKeys) -> Result<Template, TemplateError> {
    let mut doubt = None;
    for seal in notice::templates(pool, TEMPLATE.0, TEMPLATE.1).await? {
        match Template::open(trusted, &seal.key_id, &seal.sealed, &seal.signature) {
            Ok(template) => return Ok(template),
            Err(error) => doubt = Some(error),
        }
    }
    Err(doubt.map_or(TemplateError::Unsealed, TemplateError::Unbelieved))
}
