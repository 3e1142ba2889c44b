//! One run: how long it lasts, what was counted in it, what went wrong.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use loa::clock::{Clock as _, SystemClock};
use tokio::sync::watch;

/// So many errors are told in full; the others are counted.
const TOLD: usize = 20;

/// What was done. All traffic shares one thread.
#[derive(Default)]
pub struct Counts {
    /// Broadcasts that ended.
    pub broadcasts: Cell<u64>,
    /// Notices that arrived.
    pub notices: Cell<u64>,
    /// Registrations, repeated ones and departures included.
    pub registrations: Cell<u64>,
    /// Answers to readers and officers.
    pub reads: Cell<u64>,
    /// Devices and people who were not told what they should have been.
    pub lost: Cell<i64>,
    /// Who was told more than once.
    pub doubled: Cell<i64>,
    /// Answers that should have been others, and processes that ended.
    pub errors: Cell<u64>,
}

/// Adds to a count.
pub fn add<T: Copy + std::ops::Add<Output = T>>(count: &Cell<T>, more: T) {
    count.set(count.get() + more);
}

/// A run under way.
pub struct Run {
    /// How long it is to last.
    pub lasts: Duration,
    /// When it began.
    pub began: Instant,
    /// What was done.
    pub counts: Counts,
    /// The broadcast that officers look at: the newest.
    pub newest: RefCell<Option<String>>,
    /// The progress.
    pub bar: ProgressBar,
    over: watch::Sender<bool>,
}

impl Run {
    /// It begins now.
    pub fn new(lasts: Duration) -> anyhow::Result<Self> {
        let style = ProgressStyle::with_template("{bar:30} {elapsed_precise} {msg}")?;
        Ok(Self {
            lasts,
            began: SystemClock.instant(),
            counts: Counts::default(),
            newest: RefCell::default(),
            bar: ProgressBar::new(lasts.as_secs().max(1)).with_style(style),
            over: watch::Sender::new(false),
        })
    }

    /// How long it has been going.
    pub fn passed(&self) -> Duration {
        SystemClock.instant().saturating_duration_since(self.began)
    }

    /// Waits so long; whether the run goes on then.
    pub async fn rest(&self, pause: Duration) -> bool {
        let mut over = self.over.subscribe();
        tokio::select! {
            () = tokio::time::sleep(pause) => !*self.over.borrow(),
            _ = over.wait_for(|over| *over) => false,
        }
    }

    /// Nothing new is begun from now on.
    pub fn end(&self) {
        self.over.send_replace(true);
    }

    /// Waits for its end: by time, by Ctrl-C, or because a process ended.
    pub async fn until_over(&self) {
        tokio::select! {
            _ = self.rest(self.lasts) => {}
            heard = tokio::signal::ctrl_c() => match heard {
                Ok(()) => self.say("soak: ending early; waiting for what is under way (Ctrl-C again: not even that)"),
                Err(error) => self.wrong(&format!("Ctrl-C cannot be heard: {error}")),
            },
        }
        self.end();
    }

    /// Waits for somebody who will not wait for what is under way when the run is over.
    pub async fn impatience(&self) {
        let mut over = self.over.subscribe();
        // The sender is ours.
        drop(over.wait_for(|over| *over).await);
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Counts what should not have happened.
    pub fn wrong(&self, what: &str) {
        add(&self.counts.errors, 1);
        if self.counts.errors.get() <= TOLD as u64 {
            self.say(&format!("soak: after {} s: {what}", self.passed().as_secs()));
        }
    }

    /// Hands on what is right, counts what is wrong.
    pub fn right<T>(&self, what: anyhow::Result<T>) -> Option<T> {
        what.map_err(|error| self.wrong(&format!("{error:#}"))).ok()
    }

    /// Above the bar, if there is somebody to see one.
    pub fn say(&self, text: &str) {
        if self.bar.is_hidden() {
            eprintln!("{text}");
        } else {
            self.bar.println(text);
        }
    }

    /// Moves the bar.
    pub fn show(&self, memory: &str) {
        let Counts { broadcasts, notices, registrations, reads, errors, .. } = &self.counts;
        self.bar.set_position(self.passed().as_secs().min(self.lasts.as_secs()));
        self.bar.set_message(format!(
            "{} broadcasts · {} notices · {} registrations · {} reads · {} errors · {memory}",
            broadcasts.get(),
            notices.get(),
            registrations.get(),
            reads.get(),
            errors.get(),
        ));
    }
}
