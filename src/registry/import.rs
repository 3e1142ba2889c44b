//! Brings a file of devices into the registry, page by page, and says of every line that it refuses why.
//!
//! One JSON object a line. A line is taken whole or not at all; a page is one transaction, so an import that was interrupted is
//! simply run again: what is there already stays as it is. A file is no sign of life: it never brings back a device that left or
//! was quarantined with the same address.

use std::collections::HashSet;
use std::io::{BufRead, Write};

use serde::Serialize;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::sync::mpsc;

use crate::domain::address::AddressHash;
use crate::domain::device::Provider;
use crate::domain::id::InstallationId;
use crate::domain::registration::WebPushRules;
use crate::store::StoreError;
use crate::store::device::arrival::{self, Arrival, LandError, Landed};

/// Reading lines of bounded length, and what a line means.
mod lines;

/// The command with its progress bar.
mod command;

pub use command::{ImportFileError, import_file};

/// Lines in one transaction. Registrations wait for the ceilings that long, and so may a planner: about 0.1 s.
const PAGE: usize = 5_000;

/// How often a page is landed again when a registration came between.
const ATTEMPTS: u32 = 20;

/// How an import ended, in devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Lines that held anything.
    pub lines: u64,
    /// Got a number: new, back with another address, or at another provider.
    pub numbered: u64,
    /// Kept its number and changed.
    pub changed: u64,
    /// Was there exactly so.
    pub unchanged: u64,
    /// A later line of the same page had the same installation or the same address.
    pub superseded: u64,
    /// Had left, or was quarantined, with this very address, and stays so.
    pub stayed_away: u64,
    /// Refused, each with its line and reason in the report.
    pub refused: u64,
    /// Devices outside the page that lost their address to it. Not part of the sum of lines.
    pub displaced: u64,
}

impl Summary {
    /// Every line has exactly one fate.
    pub fn adds_up(&self) -> bool {
        self.lines
            == self.numbered
                + self.changed
                + self.unchanged
                + self.superseded
                + self.stayed_away
                + self.refused
    }

    fn add(&mut self, landed: Landed) {
        self.numbered += landed.numbered;
        self.changed += landed.changed;
        self.unchanged += landed.unchanged;
        self.stayed_away += landed.stayed_away;
        self.displaced += landed.displaced;
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} lines: {} numbered, {} changed, {} unchanged, {} superseded, {} stayed away, {} refused; {} others displaced",
            self.lines,
            self.numbered,
            self.changed,
            self.unchanged,
            self.superseded,
            self.stayed_away,
            self.refused,
            self.displaced
        )
    }
}

/// How far an import has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the file whose lines are decided and committed.
    pub bytes: u64,
    /// Lines decided.
    pub lines: u64,
}

/// Why an import stopped. What was committed stays; running it again continues.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read further.
    #[error("the file cannot be read: {0}")]
    Read(std::io::Error),
    /// The report cannot be written: rather stop than lose a reason.
    #[error("the report cannot be written: {0}")]
    Report(std::io::Error),
    /// Phones registered faster than a page could land.
    #[error(
        "registrations came between {ATTEMPTS} times; run the import again when fewer phones register"
    )]
    Overtaken,
    /// The database refused or is away.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lines that were read together, without duplicates.
#[derive(Default)]
struct Page {
    arrivals: Vec<Arrival>,
    lines: u64,
    superseded: u64,
    refused: u64,
    bytes: u64,
}

/// Imports `reader`, one JSON object a line; refused lines go to `report`, one JSON object a line; `progress` is told after every
/// page.
///
/// # Errors
/// See [`ImportError`]. A bad line is not an error.
pub async fn run(
    pool: &PgPool,
    rules: WebPushRules,
    reader: impl BufRead + Send + 'static,
    report: impl Write + Send + 'static,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Summary, ImportError> {
    // Reading and checking keeps one core busy while the database lands the page before.
    let (sender, mut pages) = mpsc::channel(2);
    let reading = tokio::task::spawn_blocking(move || read_pages(reader, report, &rules, &sender));
    let mut conn = pool.acquire().await.map_err(StoreError::from)?;
    let mut summary = Summary::default();
    let mut reached = Progress::default();
    while let Some(page) = pages.recv().await {
        summary.add(land(&mut conn, &page.arrivals).await?);
        summary.lines += page.lines;
        summary.superseded += page.superseded;
        summary.refused += page.refused;
        reached.bytes += page.bytes;
        reached.lines += page.lines;
        progress(reached);
    }
    match reading.await {
        Ok(outcome) => outcome?,
        Err(stopped) => std::panic::resume_unwind(stopped.into_panic()),
    }
    Ok(summary)
}

/// One page, one transaction; again when a registration came between.
async fn land(conn: &mut PgConnection, page: &[Arrival]) -> Result<Landed, ImportError> {
    let mut attempts = 1;
    loop {
        let mut tx = conn.begin().await.map_err(StoreError::from)?;
        match arrival::land(&mut tx, page).await {
            Ok(landed) => {
                tx.commit().await.map_err(StoreError::from)?;
                return Ok(landed);
            }
            Err(LandError::Overtaken) if attempts < ATTEMPTS => attempts += 1,
            Err(LandError::Overtaken) => return Err(ImportError::Overtaken),
            Err(LandError::Store(error)) => return Err(error.into()),
        }
        tx.rollback().await.map_err(StoreError::from)?;
    }
}

/// Runs until the file ends or nobody takes pages any more.
fn read_pages(
    mut reader: impl BufRead,
    mut report: impl Write,
    rules: &WebPushRules,
    pages: &mpsc::Sender<Page>,
) -> Result<(), ImportError> {
    let mut number = 0;
    loop {
        let mut page = Page::default();
        let mut ended = false;
        while page.arrivals.len() < PAGE && page.lines < 2 * PAGE as u64 {
            let Some(line) = lines::next_line(&mut reader).map_err(ImportError::Read)? else {
                ended = true;
                break;
            };
            number += 1;
            page.bytes += line.size;
            if line.is_blank() {
                continue;
            }
            page.lines += 1;
            match line.parse(number, rules) {
                Ok(arrival) => page.arrivals.push(arrival),
                Err(reasons) => {
                    page.refused += 1;
                    reasons.write_to(&mut report).map_err(ImportError::Report)?;
                }
            }
        }
        page.superseded = keep_the_last(&mut page.arrivals);
        let is_empty = page.bytes == 0;
        if !is_empty && pages.blocking_send(page).is_err() {
            // The database failed; its own error says why.
            return Ok(());
        }
        if ended {
            return report.flush().map_err(ImportError::Report);
        }
    }
}

/// Of lines with the same installation or the same address the last wins. Returns how many lost.
fn keep_the_last(arrivals: &mut Vec<Arrival>) -> u64 {
    let before = arrivals.len();
    let mut installations: HashSet<InstallationId> = HashSet::with_capacity(before);
    let mut addresses: HashSet<(Provider, AddressHash)> = HashSet::with_capacity(before);
    let mut kept = Vec::with_capacity(before);
    for arrival in arrivals.drain(..).rev() {
        let key = (arrival.registration.address.provider(), arrival.hash);
        if installations.contains(&arrival.installation) || addresses.contains(&key) {
            continue;
        }
        installations.insert(arrival.installation);
        addresses.insert(key);
        kept.push(arrival);
    }
    kept.reverse();
    *arrivals = kept;
    (before - arrivals.len()) as u64
}
