//! Values that must never appear in a log, an error or a panic message.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::{Problem, Problems};

/// A value whose `Debug` shows nothing. It has no `Display` and no `Serialize`, so that showing it takes a visible
/// [`Secret::expose`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the one call that needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

/// The content of the secret file at `path`, which the key `key` names.
///
/// # Errors
/// When it cannot be read or is empty. The content is never part of the message.
pub fn read_file(key: &str, path: &Path) -> Result<Secret<Vec<u8>>, Problem> {
    let place = path.display();
    match fs::read(path) {
        Ok(bytes) if bytes.is_empty() => {
            Err(Problem::new(key, format!("the file {place} is empty"), "put the secret into it"))
        }
        Ok(bytes) => Ok(Secret::new(bytes)),
        Err(error) => Err(Problem::new(
            key,
            format!("the file {place} cannot be read: {error}"),
            "create it or let this user read it",
        )),
    }
}

/// `""` in TOML stands for "not set", because TOML has no null and the defaults must list every key.
pub fn optional_path<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

/// Like [`optional_path`], for a text.
pub fn optional_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then_some(text))
}

/// Replaces a server's URL by the first line of `file`, when one is named: so that an orchestrator's secret needs no variable.
/// A URL that a variable or the configuration already gave wins.
pub(super) fn url_from_file(
    url: &mut Secret<String>,
    file: Option<&Path>,
    key: &str,
    problems: &mut Problems,
) {
    let Some(path) = file.filter(|_| url.expose().is_empty()) else {
        return;
    };
    match read_file(key, path)
        .map(|bytes| String::from_utf8_lossy(bytes.expose()).trim().to_owned())
    {
        Ok(text) => *url = Secret::new(text),
        Err(problem) => problems.0.push(problem),
    }
}

/// What is wrong with a server's URL; never repeats the URL, which holds a password.
pub(super) fn check_url(
    url: &Secret<String>,
    key: &str,
    schemes: [&str; 2],
    refuse_default_password: bool,
    problems: &mut Problems,
) {
    let example = format!("give one like {}://user:password@host/name", schemes[0]);
    if url.expose().is_empty() {
        problems.add(key, "is not set", example);
        return;
    }
    let Ok(parsed) = url::Url::parse(url.expose()) else {
        problems.add(key, "is not a URL", example);
        return;
    };
    if !schemes.contains(&parsed.scheme()) {
        problems.add(key, format!("has the scheme {:?}", parsed.scheme()), example);
    }
    if refuse_default_password
        && parsed.password().is_some_and(|password| password == parsed.username())
    {
        problems.add(
            key,
            "the password is the user's own name, a default",
            "set a password of its own",
        );
    }
}
