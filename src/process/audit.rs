//! `loa audit …` and `loa verify`: the audit trail signed, taken along, and examined, with the database or without it.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::accounts::operator;
use super::whole_file::WholeFile;
use super::{command, dossier, runtime, serve, trust};
use crate::config::Config;
use crate::domain::audit::examine::{Earlier, Examiner, Verdict};
use crate::domain::audit::record::Record;
use crate::domain::seal::TrustedKeys;
use crate::store::audit::{self, records};
use crate::upkeep::checkpoint::Checkpoints;

/// Findings that are printed; more of them say nothing new.
const FINDINGS_SHOWN: usize = 50;

/// A line of an export is an alert at most, far below this; what has no line ends is no export, and must not fill the memory.
const LINE_LIMIT: u64 = 16 * 1024 * 1024;

/// What is done about the audit trail.
#[derive(Subcommand)]
pub enum Audit {
    /// Signs how far the trail has come, now. Needs the sealing key: on the machine of `loa serve`.
    Checkpoint,
    /// Writes the trail, its checkpoints, decisions, revisions' digests and seals to a file that `loa verify --export` checks without a
    /// database.
    Export {
        /// The file; never overwritten.
        file: PathBuf,
    },
}

/// What is examined.
#[derive(Args)]
pub struct Verify {
    /// An export instead of the database: no connection is made.
    #[arg(long)]
    export: Option<PathBuf>,
    /// A dossier instead of the database; the PDF beside it is checked too.
    #[arg(long, conflicts_with_all = ["export", "against"])]
    dossier: Option<PathBuf>,
    /// What was kept elsewhere and must still be so: an older export, a log with checkpoints in it, messages of loa.events. May be repeated.
    #[arg(long)]
    against: Vec<PathBuf>,
}

/// Does it.
pub fn run(config: &Config, command: &Audit) -> anyhow::Result<()> {
    match command {
        Audit::Checkpoint => checkpoint(config),
        Audit::Export { file } => export(config, file),
    }
}

fn checkpoint(config: &Config) -> anyhow::Result<()> {
    let trusted = trust::believed_looking_back(&config.seal, &config.audit)?;
    let Some(key) = serve::sealing_key(config, &trusted)? else {
        bail!("seal.signing_key_file: is not set; a checkpoint is made where `loa serve` runs");
    };
    runtime()?.block_on(async {
        let pool = command::pool(&config.database).await?;
        match Checkpoints::new(pool, Arc::new(key), trusted).make().await? {
            Some(signed) => println!("{}", serde_json::to_string(&signed)?),
            None => eprintln!("nothing was appended since the last one"),
        }
        Ok(())
    })
}

fn export(config: &Config, file: &Path) -> anyhow::Result<()> {
    let mut target = WholeFile::create(file)?;
    runtime()?.block_on(async {
        let pool = command::pool(&config.database).await?;
        let mut tx = pool.begin_with(STANDSTILL).await?;
        let reaches = audit::last(&mut tx).await?;
        let bar = bar(records::count(&mut tx).await?, "{bar:40} {percent:>3}% {human_pos} {eta}");
        let mut lines = BufWriter::with_capacity(256 * 1024, target.writer());
        records::read::<anyhow::Error>(&mut tx, &mut |record: Record| {
            serde_json::to_writer(&mut lines, &record)?;
            lines.write_all(b"\n")?;
            bar.inc(1);
            Ok(())
        })
        .await?;
        lines.flush()?;
        bar.finish_and_clear();
        drop(tx);
        // Before the file is there: nothing is taken away unseen.
        let mut tx = pool.begin().await?;
        let detail = json!({"seq": reaches});
        audit::append(&mut tx, &operator(), "audit.exported", "audit", detail).await?;
        tx.commit().await?;
        Ok::<_, anyhow::Error>(())
    })?;
    target.keep()?;
    println!("{}", file.display());
    Ok(())
}

/// What is read under it fits together, whatever is written meanwhile.
const STANDSTILL: &str = "begin isolation level repeatable read read only";

/// Exit status when everything fits and nobody has signed for it: whoever owns the database could have written all of it anew.
const UNSIGNED: u8 = 3;

/// Examines the database or an export; exit status 1 when something does not fit, [`UNSIGNED`] when no checkpoint is believed.
pub fn verify(flag: Option<&Path>, command: &Verify) -> anyhow::Result<ExitCode> {
    if let Some(file) = &command.dossier {
        return dossier::verify(file, &keys_only(flag)?);
    }
    let earlier =
        command.against.iter().map(|path| earlier(path)).collect::<Result<Vec<_>, _>>()?;
    let verdict = if let Some(file) = &command.export {
        examine_export(file, &keys_only(flag)?, &earlier)?
    } else {
        let config = Config::load(flag).map_err(|problems| anyhow::anyhow!("{problems}"))?;
        let trusted = trust::believed_looking_back(&config.seal, &config.audit)?;
        examine_database(&config, &trusted, &earlier)?
    };
    Ok(tell(&verdict))
}

/// What is believed, of a configuration that may hold nothing else.
fn keys_only(flag: Option<&Path>) -> anyhow::Result<TrustedKeys> {
    let (seal, audit) =
        Config::load_trust(flag).map_err(|problems| anyhow::anyhow!("{problems}"))?;
    trust::believed_looking_back(&seal, &audit)
}

fn examine_database(
    config: &Config,
    trusted: &TrustedKeys,
    earlier: &[Earlier],
) -> anyhow::Result<Verdict> {
    runtime()?.block_on(async {
        let pool = command::pool(&config.database).await?;
        let mut tx = pool.begin_with(STANDSTILL).await?;
        let bar = bar(records::count(&mut tx).await?, "{bar:40} {percent:>3}% {human_pos} {eta}");
        let mut examiner = Examiner::new(trusted);
        records::read::<anyhow::Error>(&mut tx, &mut |record: Record| {
            examiner.record(record);
            bar.inc(1);
            Ok(())
        })
        .await?;
        bar.finish_and_clear();
        Ok(examiner.finish(earlier))
    })
}

fn examine_export(
    file: &Path,
    trusted: &TrustedKeys,
    earlier: &[Earlier],
) -> anyhow::Result<Verdict> {
    let mut examiner = Examiner::of_export(trusted);
    each_line(file, &mut |line| examiner.read(line))?;
    Ok(examiner.finish(earlier))
}

fn earlier(file: &Path) -> anyhow::Result<Earlier> {
    let mut known = Earlier::named(file.display().to_string());
    each_line(file, &mut |line| known.read(line))?;
    Ok(known)
}

/// Every line of a file, without its end.
fn each_line(file: &Path, each: &mut dyn FnMut(&[u8])) -> anyhow::Result<()> {
    let cannot = || format!("{} cannot be read", file.display());
    let opened = File::open(file).with_context(cannot)?;
    let bar = bar(opened.metadata().with_context(cannot)?.len(), "{bar:40} {percent:>3}% {eta}");
    let mut lines = BufReader::with_capacity(256 * 1024, opened);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = lines.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line);
        let length = read.with_context(cannot)?;
        if length == 0 {
            break;
        }
        bar.inc(length as u64);
        each(line.strip_suffix(b"\n").unwrap_or(&line));
    }
    bar.finish_and_clear();
    Ok(())
}

fn tell(verdict: &Verdict) -> ExitCode {
    let Verdict { counts, by_server, held, walked, checkpoint, findings } = verdict;
    for finding in findings.iter().take(FINDINGS_SHOWN) {
        println!("{finding}");
    }
    if findings.len() > FINDINGS_SHOWN {
        println!("and {} more", findings.len() - FINDINGS_SHOWN);
    }
    println!("audit trail: {walked} of {} entries hold", counts.entries);
    match checkpoint {
        Some(last) => println!(
            "checkpoints: {}, the newest of {} at entry {}; entries after it: {}",
            counts.checkpoints,
            last.at,
            last.seq,
            verdict.uncovered()
        ),
        None => println!(
            "checkpoints: none that is believed; nobody has signed for this trail, so this proves nothing against whoever owns the database"
        ),
    }
    println!("decisions: {}, of {} revisions", counts.decisions, counts.revisions);
    println!(
        "seals: {held} of {} hold ({by_server} by a server's key, {} by approvers' own)",
        counts.seals,
        held - by_server
    );
    match (findings.is_empty(), checkpoint) {
        (false, _) => ExitCode::FAILURE,
        (true, None) if *walked > 0 => ExitCode::from(UNSIGNED),
        (true, _) => ExitCode::SUCCESS,
    }
}

fn bar(length: u64, template: &'static str) -> ProgressBar {
    // Unwrap safety: the templates are constants, and the tests draw them.
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    let bar = ProgressBar::new(length).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
