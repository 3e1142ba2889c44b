//! The list of approvers read anew while a process runs, so that a revocation takes seconds and no restart.
//!
//! What lies in the file is put into force only if the root key signed it and it is later than what is in force: whoever can write the file
//! can neither make an approver nor bring a revoked one back. Everything else is refused, loudly, and the earlier list stays.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::trust;
use crate::config::seal::Seal;
use crate::domain::seal::TrustedKeys;
use crate::domain::seal::trust::Trust;
use crate::telemetry::Metric;

/// Between looks. A file of a few kilobytes, read whole: times of modification lie, on network disks and after a restore.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long reading may take: a network disk that hangs must not hang the look for ever.
const READ_PATIENCE: Duration = Duration::from_secs(10);

/// Where the list lies, and whom it is for.
#[derive(Debug)]
pub struct ApproversFile {
    seal: Seal,
    trusted: TrustedKeys,
    /// A read that a hanging disk has not answered yet. One at a time: each holds a thread of those that check passwords, too.
    reading: Mutex<Option<JoinHandle<anyhow::Result<Option<Trust>>>>>,
}

impl ApproversFile {
    /// `None` where there are no approvers with passkeys of their own.
    pub fn of(seal: &Seal, trusted: &TrustedKeys) -> Option<Self> {
        trusted.approvers()?;
        Some(Self { seal: seal.clone(), trusted: trusted.clone(), reading: Mutex::default() })
    }

    /// Looks until another list has come into force; false at `end`.
    pub async fn renewed(&self, end: &CancellationToken) -> bool {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = end.cancelled() => return false,
            }
            if self.look().await {
                return true;
            }
        }
    }

    /// Looks once. Returns whether another list is in force now.
    pub async fn look(&self) -> bool {
        let mut under_way = self.reading.lock().await;
        let reading = under_way.get_or_insert_with(|| {
            let seal = self.seal.clone();
            tokio::task::spawn_blocking(move || trust::list(&seal))
        });
        let ended = tokio::time::timeout(READ_PATIENCE, reading).await;
        if ended.is_ok() {
            *under_way = None;
        }
        let read = match ended {
            Ok(Ok(Ok(Some(list)))) => {
                self.trusted.renew(list).map_err(|error| format!("seal.approvers_file: {error}"))
            }
            Ok(Ok(Ok(None))) => Ok(false),
            Ok(Ok(Err(error))) => Err(format!("{error:#}")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("seal.approvers_file: no answer within 10 s".to_owned()),
        };
        match read {
            Ok(changed) => {
                if self.trusted.refused_list().is_some() {
                    tracing::info!(
                        "the list of approvers that lies there is the one in force again"
                    );
                }
                self.told(None);
                if changed {
                    self.tell_whom_it_names();
                }
                changed
            }
            Err(why) => {
                // Said once; the metric and the readiness page go on saying it.
                if self.trusted.refused_list().is_none_or(|known| *known != why) {
                    tracing::error!(alarm = "approvers_list_refused", %why, "the list of approvers that lies there is not believed, the earlier one stays in force: {why}");
                }
                self.told(Some(why));
                false
            }
        }
    }

    fn told(&self, why: Option<String>) {
        Metric::ApproversRefused.set(if why.is_some() { 1.0 } else { 0.0 }, &[]);
        self.trusted.note_refused(why);
    }

    fn tell_whom_it_names(&self) {
        let Some(approvers) = self.trusted.approvers() else { return };
        let valid = approvers.valid().count();
        tracing::warn!(
            list = approvers.trust.serial,
            valid,
            "list {} of approvers is in force: {valid} passkeys are valid",
            approvers.trust.serial
        );
    }
}

#[cfg(test)]
mod tests;
