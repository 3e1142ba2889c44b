//! A file that is there whole or not at all: written beside its place, readable by its owner only, and put there at the end.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// A file on its way.
pub struct WholeFile {
    file: File,
    beside: PathBuf,
    path: PathBuf,
    kept: bool,
}

impl WholeFile {
    /// Begins beside `path`, where nothing may be yet.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        ensure!(!path.exists(), "{} is there already; it is not overwritten", path.display());
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.new", std::process::id()));
        let beside = PathBuf::from(beside);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .with_context(|| format!("{} cannot be made", beside.display()))?;
        Ok(Self { file, beside, path: path.to_owned(), kept: false })
    }

    /// Where to write.
    pub fn writer(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts it into its place.
    pub fn keep(mut self) -> anyhow::Result<()> {
        let cannot = || format!("{} cannot be made", self.path.display());
        self.file.sync_all().with_context(cannot)?;
        fs::rename(&self.beside, &self.path).with_context(cannot)?;
        self.kept = true;
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder).and_then(|folder| folder.sync_all()).with_context(cannot)?;
        }
        Ok(())
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if !self.kept {
            // What could not be finished is of no use; if it cannot be removed either, its name says what it is.
            drop(fs::remove_file(&self.beside));
        }
    }
}
