//! Sealing the built-in templates, so that dispatchers can verify them like anything else that is pushed (invariant 1).

use sqlx::PgPool;

use crate::domain::notice::Template;
use crate::domain::seal::{SealError, SealingKey, TrustedKeys, canonical};
use crate::store::seal::StoredSeal;
use crate::store::{StoreError, notice};

/// Seals and stores this release's templates under `key`. Doing it again changes nothing.
pub async fn seal_built_in(
    pool: &PgPool,
    key: &SealingKey,
    public_url: &str,
) -> Result<(), StoreError> {
    for template in Template::built_in(public_url) {
        let sealed = canonical(&template);
        let signature = key.seal(&sealed);
        let seal = StoredSeal { sealed, key_id: key.id().to_owned(), signature };
        notice::store_template(pool, (&template.name, template.version), &seal).await?;
    }
    Ok(())
}

/// Why there is no template to send.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// None is stored: no `loa serve` with a sealing key has started yet.
    #[error("template {0:?} version {1} has not been sealed yet")]
    Unsealed(String, i32),
    /// None of those stored can be believed. The last reason.
    #[error("template {0:?} cannot be believed: {1}")]
    Unbelieved(String, SealError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The template by this name and version, as a key sealed it that this process trusts.
pub async fn open(
    pool: &PgPool,
    trusted: &TrustedKeys,
    (name, version): (&str, i32),
) -> Result<Template, TemplateError> {
    let mut doubt = None;
    for seal in notice::templates(pool, name, version).await? {
        match Template::open(trusted, (name, version), &seal.key_id, &seal.sealed, &seal.signature)
        {
            Ok(template) => return Ok(template),
            Err(error) => doubt = Some(error),
        }
    }
    Err(match doubt {
        Some(error) => TemplateError::Unbelieved(name.to_owned(), error),
        None => TemplateError::Unsealed(name.to_owned(), version),
    })
}
