//! `loa dossier`: everything about one alert, for whoever asks years later; and `loa verify --dossier`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use super::accounts::operator;
use super::whole_file::WholeFile;
use super::{command, runtime, serve, trust};
use crate::config::Config;
use crate::domain::dossier::{Page, SignedDossier};
use crate::domain::id::AlertId;
use crate::domain::seal::{TrustedKeys, digest};
use crate::dossier;
use crate::store::audit;

/// Whose dossier.
#[derive(Args)]
pub struct Dossier {
    /// The alert's id.
    alert: AlertId,
    /// Where the two files go; the current folder by default.
    #[arg(long, default_value = ".")]
    out: PathBuf,
}

/// Makes `dossier-ALERT-TIME.json`, signed, and the PDF of the same name that it names. Needs the sealing key: on the machine of `loa serve`.
pub fn run(config: &Config, asked: &Dossier) -> anyhow::Result<ExitCode> {
    let trusted = trust::believed_looking_back(&config.seal, &config.audit)?;
    let Some(key) = serve::sealing_key(config, &trusted)? else {
        bail!("seal.signing_key_file: is not set; a dossier is signed where `loa serve` runs");
    };
    let dossier = runtime()?.block_on(async {
        let pool = command::pool(&config.database).await?;
        let mut tx = pool.begin_with("begin isolation level repeatable read read only").await?;
        let dossier = dossier::collect(&mut tx, asked.alert, &trusted)
            .await?
            .with_context(|| format!("there is no alert {}", asked.alert))?;
        drop(tx);
        // Before the files are there: nothing is taken away unseen.
        let mut tx = pool.begin().await?;
        let (who, alert) = (operator(), asked.alert.to_string());
        audit::append(&mut tx, &who, "dossier.made", &alert, json!({})).await?;
        tx.commit().await?;
        Ok::<_, anyhow::Error>(dossier)
    })?;
    let name = format!("dossier-{}-{}", asked.alert, dossier.at.unix_timestamp());
    let pdf = dossier::page::set(&dossier);
    let page = Page { name: format!("{name}.pdf"), sha256: digest(&pdf) };
    let paper = asked.out.join(&page.name);
    let signed = dossier.sign(page, &key);
    let mut text = serde_json::to_vec_pretty(&signed)?;
    text.push(b'\n');
    // The PDF first: a dossier is never there without it.
    write(&paper, &pdf)?;
    let file = asked.out.join(format!("{name}.json"));
    write(&file, &text)?;
    println!("{}\n{}", file.display(), paper.display());
    Ok(tell(&signed, &trusted, Some(&pdf)))
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut file = WholeFile::create(path)?;
    file.writer().write_all(bytes)?;
    file.keep()
}

/// Examines a dossier with nothing but the keys that are believed; exit status 1 when something does not hold.
pub fn verify(file: &Path, trusted: &TrustedKeys) -> anyhow::Result<ExitCode> {
    let bytes =
        std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let signed = match SignedDossier::read(&bytes) {
        Ok(signed) => signed,
        Err(error) => {
            println!("{error}");
            return Ok(ExitCode::FAILURE);
        }
    };
    // Only a name beside the dossier: what is in it is not believed yet.
    let name = Path::new(&signed.pdf.name).file_name().unwrap_or_default();
    let pdf = std::fs::read(file.with_file_name(name)).ok();
    Ok(tell(&signed, trusted, pdf.as_deref()))
}

fn tell(signed: &SignedDossier, trusted: &TrustedKeys, pdf: Option<&[u8]>) -> ExitCode {
    let wrong = signed.examine(trusted, pdf);
    for error in &wrong {
        println!("{error}");
    }
    if !wrong.is_empty() {
        return ExitCode::FAILURE;
    }
    let dossier = &signed.dossier;
    println!("dossier of alert {}: signed with {}, {}", dossier.alert, signed.key_id, dossier.at);
    println!(
        "seals: {} hold; entries of the trail: {}",
        dossier.sealed.len(),
        dossier.trail.entries.len()
    );
    match &dossier.trail.checkpoint {
        Some(covers) => {
            let point = &covers.checkpoint;
            println!("covered by checkpoint {} at entry {}", point.serial, point.seq);
        }
        None => println!("not yet covered by a checkpoint"),
    }
    match pdf {
        Some(_) => println!("{}: is the one that was signed", signed.pdf.name),
        None => println!("{}: is not here, so it was not checked", signed.pdf.name),
    }
    ExitCode::SUCCESS
}
