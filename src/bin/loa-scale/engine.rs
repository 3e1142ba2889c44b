//! Time, servers that take one job after another, and quotas with a ramp.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A moment, seconds; ordered, because the heap of events needs that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct At(pub f64);

impl Eq for At {}

impl PartialOrd for At {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for At {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// What is to happen, in order of time; of one moment in the order it was put in.
pub struct Events<T> {
    heap: BinaryHeap<Reverse<(At, u64, T)>>,
    count: u64,
}

impl<T: Ord> Events<T> {
    /// Nothing.
    pub fn new() -> Self {
        Self { heap: BinaryHeap::new(), count: 0 }
    }

    /// Puts one in.
    pub fn at(&mut self, moment: f64, what: T) {
        self.count += 1;
        self.heap.push(Reverse((At(moment), self.count, what)));
    }

    /// Takes out the next.
    pub fn next(&mut self) -> Option<(f64, T)> {
        self.heap.pop().map(|Reverse((At(moment), _, what))| (moment, what))
    }
}

/// So many cores, threads or wires of one kind, first come, first served.
#[derive(Clone, Debug)]
pub struct Server {
    free: BinaryHeap<Reverse<At>>,
    count: u32,
    busy: f64,
}

impl Server {
    /// All free.
    pub fn of(count: u32) -> Self {
        let count = count.max(1);
        Self { free: (0..count).map(|_| Reverse(At(0.0))).collect(), count, busy: 0.0 }
    }

    fn earliest(&self) -> f64 {
        self.free.peek().map_or(0.0, |Reverse(At(at))| *at)
    }

    fn take(&mut self, until: f64, seconds: f64) {
        self.free.pop();
        self.free.push(Reverse(At(until)));
        self.busy += seconds;
    }

    /// Which share of its time it worked, until `end`.
    pub fn busy(&self, end: f64) -> f64 {
        if end > 0.0 { self.busy / (end * f64::from(self.count)) } else { 0.0 }
    }

    /// How long it worked, all of it together, seconds.
    pub fn worked(&self) -> f64 {
        self.busy
    }
}

/// A job that needs one of each of these at the same time, from `now` on; when it is done. Must be asked in order of time.
pub fn serve(servers: &mut [&mut Server], now: f64, seconds: f64) -> f64 {
    let start = servers.iter().map(|server| server.earliest()).fold(now, f64::max);
    let done = start + seconds;
    for server in servers {
        server.take(done, seconds);
    }
    done
}

/// The least share of a quota that a ramp begins at, as loa does it.
const FLOOR: f64 = 0.05;

/// A quota: permits fall due one after another, faster and faster until the ramp has ended.
#[derive(Clone, Debug)]
pub struct Quota {
    rate: f64,
    ramp: f64,
    begun: Option<f64>,
    cursor: f64,
    /// What was permitted: from, to, how many.
    pub granted: Vec<(f64, f64, u32)>,
}

impl Quota {
    /// So many a second, in full after `ramp` seconds.
    pub fn of(rate: f64, ramp: f64) -> Self {
        Self { rate, ramp: ramp.max(1e-9), begun: None, cursor: 0.0, granted: Vec::new() }
    }

    /// When the last of `count` may leave. What was not used while nobody asked is lost.
    pub fn take(&mut self, now: f64, count: u32) -> f64 {
        let begun = *self.begun.get_or_insert(now);
        let from = self.cursor.max(now);
        let due = self.permitted(from - begun) + f64::from(count);
        self.cursor = begun + self.after(due);
        self.granted.push((from, self.cursor, count));
        self.cursor
    }

    /// The most that was permitted, a second, of what was asked at once.
    pub fn densest(&self) -> f64 {
        let rates = self.granted.iter().map(|(from, to, count)| f64::from(*count) / (to - from));
        rates.fold(0.0, f64::max)
    }

    /// How many by so long after the beginning.
    pub fn permitted(&self, seconds: f64) -> f64 {
        let flat = FLOOR * self.ramp;
        let share = |t: f64| (t * t - flat * flat) / (2.0 * self.ramp);
        let seconds = seconds.max(0.0);
        self.rate
            * if seconds < flat {
                FLOOR * seconds
            } else if seconds < self.ramp {
                FLOOR * flat + share(seconds)
            } else {
                FLOOR * flat + share(self.ramp) + seconds - self.ramp
            }
    }

    /// How long after the beginning so many are permitted.
    pub fn after(&self, count: f64) -> f64 {
        let flat = FLOOR * self.ramp;
        let (first, ramped) = (self.permitted(flat), self.permitted(self.ramp));
        if count < first {
            count / (self.rate * FLOOR)
        } else if count < ramped {
            (flat * flat + (count - first) / self.rate * 2.0 * self.ramp).sqrt()
        } else {
            self.ramp + (count - ramped) / self.rate
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_waits_for_whoever_is_last_free() {
        let (mut one, mut two) = (Server::of(1), Server::of(2));
        assert!((serve(&mut [&mut two], 0.0, 3.0) - 3.0).abs() < 1e-9);
        assert!((serve(&mut [&mut one, &mut two], 0.0, 1.0) - 1.0).abs() < 1e-9);
        assert!((serve(&mut [&mut one, &mut two], 0.5, 1.0) - 2.0).abs() < 1e-9);
        assert_eq!((one.worked(), two.worked()), (2.0, 5.0));
    }

    #[test]
    fn permits_and_the_time_they_take_are_each_others_inverse() {
        let quota = Quota::of(10_000.0, 60.0);
        for seconds in [0.0, 1.0, 3.0, 20.0, 60.0, 61.0, 600.0] {
            assert!((quota.after(quota.permitted(seconds)) - seconds).abs() < 1e-6, "{seconds}");
        }
        assert!((quota.permitted(660.0) - quota.permitted(600.0) - 600_000.0).abs() < 1e-3);
    }

    #[test]
    fn a_pause_saves_no_permits() {
        let mut quota = Quota::of(100.0, 0.0);
        assert!((quota.take(0.0, 100) - 1.0).abs() < 1e-6);
        assert!((quota.take(5.0, 100) - 6.0).abs() < 1e-6);
        assert!((quota.take(5.0, 100) - 7.0).abs() < 1e-6);
    }
}
