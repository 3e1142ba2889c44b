//! What a provider's answer means: for the device, for the slice, for everything else that is sent to the same provider or service.

use std::time::Duration;

use super::blocks::origin_quota;
use super::line::Push;
use super::run::Run;
use super::{BrokenOff, Sender, Slice};
use crate::delivery::providers::Parcel;
use crate::domain::broadcast::Outcome;
use crate::domain::device::Provider;
use crate::push::{PushError, Scope, Verdict};
use crate::telemetry::Metric;

impl Sender {
    /// Records what an answer means for its device, and tells whom else it concerns.
    pub(super) async fn judge(
        &self,
        slice: &Slice<'_>,
        run: &Run,
        push: &Push,
        answer: Result<(), PushError>,
    ) {
        let Err(error) = answer else {
            self.breaker(slice.provider).accepted();
            self.services.answered(&push.load.quota);
            run.record(&push.target, Outcome::Accepted);
            return;
        };
        // Rare, so it is kept out of what is done for each of the many that are accepted.
        Box::pin(self.judge_refusal(slice, run, push, &error)).await;
    }

    async fn judge_refusal(&self, slice: &Slice<'_>, run: &Run, push: &Push, error: &PushError) {
        let Push { target, load, parcel, .. } = push;
        let breaker = self.breaker(slice.provider);
        let verdict = error.verdict();
        match &verdict {
            Verdict::Ambiguous | Verdict::NotSent => self.unanswered(slice.provider, &load.quota),
            // While it waited for a stream the gate closed or its service asked for a pause: not tried, and the run knows.
            Verdict::Withheld => return,
            // It never left, so nobody answered.
            _ if matches!(parcel, Parcel::Spoilt(_)) => {}
            _ => {
                breaker.answered();
                self.services.answered(&load.quota);
            }
        }
        run.refused(error);
        match verdict {
            Verdict::Forget { since } => run.dead(target, since),
            Verdict::Refused(_) => run.record(target, Outcome::Refused),
            Verdict::Suspect => run.suspect(target),
            Verdict::OurFault(what) => {
                if run.our_fault(target) {
                    let labels = [("provider", slice.provider.as_str())];
                    Metric::OurFaults.add(1, &labels);
                    tracing::error!(provider = %slice.provider, what, "a message of ours is called malformed: {what}");
                }
            }
            Verdict::Later { after, scope, slow_down } => {
                run.record(target, Outcome::Due);
                self.later(slice.provider, scope, after, slow_down, run).await;
            }
            Verdict::Park(reason) => {
                breaker.park(&reason);
                run.break_off(BrokenOff::Parked);
            }
            Verdict::Ambiguous => run.record(target, Outcome::DueUnknown),
            Verdict::NotSent => run.record(target, Outcome::Due),
            Verdict::Withheld => {}
        }
    }

    /// Many in a row park a provider, or have one push service left alone.
    fn unanswered(&self, provider: Provider, quota: &str) {
        match provider {
            Provider::Fcm | Provider::Apns => self.breaker(provider).unreachable(),
            Provider::WebPush => self.services.unanswered(quota),
        }
    }

    async fn later(
        &self,
        provider: Provider,
        scope: Scope,
        after: Option<Duration>,
        slow_down: bool,
        run: &Run,
    ) {
        let mut wait = after.unwrap_or(self.waits.throttled);
        let quota = match scope {
            Scope::Device => {
                run.ask(after.map(|after| after.min(self.waits.longest_leave)));
                return;
            }
            Scope::Provider => {
                run.ask_all(after);
                // At once and in every slice; what other dispatchers do, the quota decides.
                self.services.leave_alone(provider.as_str(), wait);
                if slow_down {
                    run.break_off(BrokenOff::LeftAlone(wait));
                }
                provider.as_str().to_owned()
            }
            // Its word binds its own devices, not those of the others in the batch.
            Scope::Origin(origin) => {
                let quota = origin_quota(&origin);
                wait = wait.min(self.waits.longest_leave);
                self.services.leave_alone(&quota, wait);
                run.leave_out(wait);
                quota
            }
        };
        if slow_down {
            Metric::Throttled.add(1, &[("provider", provider.as_str())]);
        }
        if slow_down && run.slow_down(&quota) {
            self.permits.slow_down(&quota, wait).await;
        }
    }
}
