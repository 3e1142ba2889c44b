//! Take the turn, verify the template, push to the few devices, write down what became of it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::template::{self, TemplateError};
use crate::delivery::again::RECORD_AGAIN;
use crate::delivery::gate::{Closed, SILENCE};
use crate::delivery::send::{BrokenOff, Report, Sender, Slice, Target};
use crate::domain::broadcast::{Lane, Outcome};
use crate::domain::canary::Heard;
use crate::domain::device::{Language, Provider};
use crate::domain::drill::Group;
use crate::domain::message::PushMessage;
use crate::domain::seal::TrustedKeys;
use crate::store::canary::{self, Answer, Turn};
use crate::store::patience::soon;
use crate::store::{StoreError, broadcast};
use crate::telemetry::Metric;

/// Whose turn it is, is looked at so often within an interval.
const LOOKS: u32 = 20;

/// A probe that has not left by then, or is still not answered, is given up: four times as long as a request may take by default.
const PATIENCE: time::Duration = time::Duration::seconds(60);

/// What one dispatcher needs to probe.
#[derive(Debug)]
pub struct Canary {
    /// For turns and results.
    pub pool: PgPool,
    /// That of emergencies: the same credentials, connections and breakers.
    pub sender: Arc<Sender>,
    /// Whose seals are believed.
    pub trusted: TrustedKeys,
    /// The operator's own devices.
    pub group: Arc<Group>,
    /// Between two probes of a provider, the whole fleet.
    pub every: Duration,
    /// Which machine.
    pub host: String,
}

impl Canary {
    /// Probes one provider whenever it is this process's turn, until `end`.
    pub async fn run(self: Arc<Self>, provider: Provider, end: CancellationToken) {
        loop {
            let able = self.is_able();
            if able && let Err(error) = self.look(provider).await {
                tracing::warn!(%provider, %error, "{provider} could not be probed: {error}");
            }
            tokio::select! {
                () = tokio::time::sleep(if able { self.every / LOOKS } else { SILENCE }) => {}
                () = end.cancelled() => return,
            }
        }
    }

    /// Who could not send, or is leaving, must not take the turn of somebody who can.
    fn is_able(&self) -> bool {
        let gate = &self.sender.gate;
        gate.pass_until(gate.database_now() + PATIENCE).check().is_ok()
    }

    /// Probes if it is this process's turn.
    async fn look(&self, provider: Provider) -> Result<(), StoreError> {
        let members = self.group.between(provider, 1, i64::MAX);
        let devices = i32::try_from(members.len()).unwrap_or(i32::MAX);
        let taking = canary::take_turn(&self.pool, provider, self.every, &self.host, devices);
        if let Some(turn) = soon(taking).await? {
            self.probe(provider, turn).await;
        }
        if let Some(at) = soon(canary::last_accepted(&self.pool, provider)).await? {
            #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
            let at = at.unix_timestamp() as f64;
            Metric::CanaryAccepted.set(at, &[("provider", provider.as_str())]);
        }
        Ok(())
    }

    async fn probe(&self, provider: Provider, turn: Turn) {
        let begun = self.sender.gate.clock().instant();
        let found = match self.push(provider, turn).await {
            Ok(report) => self.judged(provider, report),
            Err(error) => Some(unsealed(&error)),
        };
        let Some(mut answer) = found else {
            // Whoever is next takes it; if even this is not heard, the turn after it is anybody's.
            if let Err(error) = soon(canary::give_back(&self.pool, turn)).await {
                tracing::warn!(%provider, %error, "a turn was not given back: {error}");
            }
            return;
        };
        let took = self.sender.gate.clock().instant().saturating_duration_since(begun);
        answer.took_ms = i32::try_from(took.as_millis()).unwrap_or(i32::MAX);
        let labels = [("provider", provider.as_str())];
        Metric::CanarySeconds.observe(took.as_secs_f64(), &labels);
        Metric::CanaryProbes.add(1, &[labels[0], ("outcome", answer.heard.as_str())]);
        tell(provider, &answer);
        // Twice, not for ever: the next probe says more than a late result of this one.
        if soon(canary::record(&self.pool, turn, &answer)).await.is_err() {
            tokio::time::sleep(RECORD_AGAIN).await;
            if let Err(error) = soon(canary::record(&self.pool, turn, &answer)).await {
                tracing::warn!(%provider, %error, "the result of a probe is lost: {error}");
            }
        }
    }

    /// Nothing is sent whose template is not believed (invariant 1).
    async fn push(&self, provider: Provider, turn: Turn) -> Result<Report, TemplateError> {
        let template = soon(template::open(&self.pool, &self.trusted)).await?;
        let live = soon(async {
            let mut conn = self.pool.acquire().await?;
            broadcast::live_emergencies(&mut conn).await
        });
        let live = live.await?;
        let message = |language: &Language| {
            let message = template.message(turn.probe, language, turn.at)?;
            Some(PushMessage { live: live.clone(), ..message })
        };
        let pass = self.sender.gate.pass_until(turn.at + PATIENCE);
        let slice = Slice {
            provider,
            // By the same hand as an emergency, without holding anything up as one does.
            lane: Lane::Personal,
            pass: &pass,
            message: &message,
            expires: turn.at + template.ttl(),
            is_probe: true,
            trace: tracing::info_span!("canary", provider = provider.as_str()),
        };
        let members = self.group.between(provider, 1, i64::MAX).iter();
        let targets = members.map(|member| Target {
            number: member.line.into(),
            address: member.address.clone(),
            language: Arc::clone(&member.language),
        });
        Ok(self.sender.send(&slice, targets.collect()).await)
    }

    /// What a report says of the road; `None` when nothing has left and this process is not to send anything now.
    fn judged(&self, provider: Provider, report: Report) -> Option<Answer> {
        let count = |wanted| report.outcomes.iter().filter(|(_, told)| *told == wanted).count();
        let accepted = count(Outcome::Accepted);
        let heard = if accepted > 0 {
            Heard::Accepted
        } else if report.outcomes.is_empty() {
            match &report.broken_off {
                Some(BrokenOff::Gate(
                    Closed::Held
                    | Closed::Orphaned
                    | Closed::Silent
                    | Closed::Stopped
                    | Closed::NotYet(_),
                )) => return None,
                Some(BrokenOff::Parked) => Heard::Parked,
                Some(BrokenOff::LeftAlone(_)) => Heard::Later,
                Some(BrokenOff::OurFault) => Heard::Malformed,
                Some(BrokenOff::Gate(Closed::Expired) | BrokenOff::Panicked) | None => {
                    Heard::Unsent
                }
            }
        } else {
            match &report.broken_off {
                Some(BrokenOff::Parked) => Heard::Parked,
                Some(BrokenOff::OurFault) => Heard::Malformed,
                Some(BrokenOff::Gate(_) | BrokenOff::LeftAlone(_) | BrokenOff::Panicked) | None => {
                    not_accepted(count, report.in_doubt)
                }
            }
        };
        let dead = report.outcomes.iter().filter(|(_, told)| *told == Outcome::Gone);
        let dead = dead.filter_map(|(line, _)| i32::try_from(*line).ok());
        let reason = self.sender.breaker(provider).reason().filter(|_| heard == Heard::Parked);
        let is_told = heard != Heard::Accepted;
        Some(Answer {
            heard,
            accepted: i32::try_from(accepted).unwrap_or(i32::MAX),
            dead_lines: dead.collect(),
            took_ms: 0,
            detail: report.refusal.or(reason).filter(|_| is_told),
        })
    }
}

/// What nobody has taken: the least final answer counts, for it says that the road itself is in doubt.
fn not_accepted(count: impl Fn(Outcome) -> usize, in_doubt: bool) -> Heard {
    if count(Outcome::DueUnknown) > 0 {
        Heard::Unanswered
    } else if in_doubt {
        Heard::Refused
    } else if count(Outcome::Due) > 0 {
        Heard::Later
    } else if count(Outcome::Gone) > 0 {
        Heard::Dead
    } else {
        Heard::Refused
    }
}

fn unsealed(error: &TemplateError) -> Answer {
    match error {
        TemplateError::Unbelieved(_) => Metric::SealMismatches.add(1, &[]),
        TemplateError::Unsealed | TemplateError::Store(_) => {}
    }
    let heard = match error {
        TemplateError::Unsealed | TemplateError::Unbelieved(_) => Heard::Unsealed,
        TemplateError::Store(_) => Heard::Unsent,
    };
    let detail = Some(error.to_string());
    Answer { heard, accepted: 0, dead_lines: Vec::new(), took_ms: 0, detail }
}

fn tell(provider: Provider, answer: &Answer) {
    let Answer { heard, dead_lines, detail, .. } = answer;
    if *heard != Heard::Accepted {
        let detail = detail.as_deref().unwrap_or_default();
        tracing::error!(%provider, heard = heard.as_str(), "a probe of {provider} was not taken: {} {detail}", heard.as_str());
    }
    if !dead_lines.is_empty() {
        tracing::warn!(%provider, lines = ?dead_lines, "canary.group_file: the address in line {dead_lines:?} is dead");
    }
}
