//! `make scale`: what a broadcast to ten thousand and to a hundred million devices takes, computed from measured costs.
//!
//! A small simulation of one broadcast, batch by batch; no network, no database, no chance: the same inputs give the same document. Inputs
//! stand in `costs.rs` alone. It writes the tables and the picture of `docs/scaling.md`, and says how far it is from what was measured in
//! whole. The last line on standard output is one JSON object.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of devices, bytes and seconds, none near the ends of their types"
)]

mod broadcast;
mod costs;
mod engine;
mod report;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Parser;

use costs::Costs;

/// Computes broadcasts of every size from measured costs, and writes docs/scaling.md.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Only print the tables.
    #[arg(long)]
    dry: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match scale(arguments.dry) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scale: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn scale(dry: bool) -> anyhow::Result<()> {
    let costs = Costs::read()?;
    let report = report::Report::of(&costs)?;
    eprintln!("{}", report.text(&costs));
    if !dry {
        report.publish(&costs)?;
    }
    println!("{}", serde_json::to_string(&report.line())?);
    Ok(())
}
