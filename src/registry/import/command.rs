//! `loa devices import FILE [--report FILE]`: opens the files, draws the bar on stderr.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use sqlx::PgPool;

use super::{ImportError, Summary, run};
use crate::domain::registration::WebPushRules;

/// Why a file was not (wholly) imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportFileError {
    /// The file to import.
    #[error("{path}: {source}")]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// See [`ImportError`].
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// Imports the file at `path`; reasons of refused lines go to `report`, which is made anew.
///
/// # Errors
/// When a file cannot be opened, and as [`run`].
pub async fn import_file(
    pool: &PgPool,
    rules: WebPushRules,
    path: &Path,
    report: &Path,
) -> Result<Summary, ImportFileError> {
    let open = |path: &Path, source| ImportFileError::Open { path: path.to_owned(), source };
    let file = File::open(path).map_err(|error| open(path, error))?;
    let length = file.metadata().map_err(|error| open(path, error))?.len();
    let reasons = File::create(report).map_err(|error| open(report, error))?;

    let bar = ProgressBar::new(length).with_style(style());
    bar.enable_steady_tick(Duration::from_millis(200));
    let shown = bar.clone();
    let summary = run(
        pool,
        rules,
        BufReader::with_capacity(256 * 1024, file),
        BufWriter::new(reasons),
        move |progress| {
            shown.set_position(progress.bytes);
            shown.set_message(format!("{} thiết bị / devices", progress.lines));
        },
    )
    .await;
    bar.finish_and_clear();
    Ok(summary?)
}

fn style() -> ProgressStyle {
    // Unwrap safety: the template is a constant, and the tests draw it.
    ProgressStyle::with_template("{bar:40} {percent:>3}% {bytes}/{total_bytes} {eta} {msg}")
        .expect("the template is well-formed")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_bar_can_be_drawn() {
        let _ = super::style();
    }
}
