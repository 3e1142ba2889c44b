//! Who waits for permits, by urgency.

use std::collections::VecDeque;
use std::time::Duration;

use super::Want;
use crate::domain::broadcast::Lane;

/// Of so many blocks one goes to personal notices, even during an emergency: 2 %.
const PERSONAL_SHARE: u32 = 50;

/// Who waits, by urgency.
#[derive(Default)]
pub(super) struct Queues {
    emergency: VecDeque<Want>,
    personal: VecDeque<Want>,
    bulk: VecDeque<Want>,
    since_personal: u32,
}

impl Queues {
    pub(super) fn push(&mut self, want: Want) {
        match want.lane {
            Lane::Emergency => self.emergency.push_back(want),
            Lane::Personal => self.personal.push_back(want),
            Lane::Bulk | Lane::Drill => self.bulk.push_back(want),
        }
    }

    pub(super) fn pop(&mut self) -> Option<Want> {
        self.since_personal += 1;
        if self.since_personal >= PERSONAL_SHARE
            && let Some(want) = self.personal.pop_front()
        {
            self.since_personal = 0;
            return Some(want);
        }
        let want = self
            .emergency
            .pop_front()
            .or_else(|| self.personal.pop_front().inspect(|_| self.since_personal = 0));
        want.or_else(|| self.bulk.pop_front())
    }

    /// What whoever is next most likely wants.
    pub(super) fn next_count(&self) -> u32 {
        let next = self.emergency.front().or(self.personal.front()).or(self.bulk.front());
        next.map_or(1, |want| want.count)
    }

    pub(super) fn send_away(&mut self, wait: Duration) {
        let all = self.emergency.drain(..).chain(self.personal.drain(..));
        for want in all.chain(self.bulk.drain(..)) {
            want.go.send(Err(wait)).ok();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.emergency.is_empty() && self.personal.is_empty() && self.bulk.is_empty()
    }

    pub(super) fn has_emergency(&self) -> bool {
        !self.emergency.is_empty()
    }

    pub(super) fn is_urgent(&self) -> bool {
        !(self.emergency.is_empty() && self.personal.is_empty())
    }

    pub(super) fn wanted(&self) -> u32 {
        let all = self.emergency.iter().chain(&self.personal).chain(&self.bulk);
        all.map(|want| want.count).fold(0, u32::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::delivery::permits::BLOCK;

    fn want(lane: Lane) -> Want {
        Want { lane, count: BLOCK, go: oneshot::channel().0 }
    }

    #[test]
    fn invariant_8_an_emergency_takes_the_next_block() {
        let mut queues = Queues::default();
        (0..1000).for_each(|_| queues.push(want(Lane::Bulk)));
        queues.push(want(Lane::Emergency));
        assert_eq!(queues.pop().map(|want| want.lane), Some(Lane::Emergency));
    }

    #[test]
    fn personal_notices_keep_two_percent_of_an_emergency() {
        let mut queues = Queues::default();
        for _ in 0..500 {
            queues.push(want(Lane::Emergency));
            queues.push(want(Lane::Personal));
        }
        let personal = (0..500).filter(|_| queues.pop().map(|w| w.lane) == Some(Lane::Personal));
        assert_eq!(personal.count(), 10);
    }
}
