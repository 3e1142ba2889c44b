//! Stopping is a feature: signal → stop taking work → finish what is in hand → exit.
//!
//! A [`Shutdown`] is cloned into everything that takes work. Taking stops the moment it is requested; what already runs is
//! tracked, and [`Shutdown::drain`] waits for it up to a deadline. Past the deadline the process exits anyway: every piece of work
//! is claimed in PostgreSQL and acknowledged late, so that another process finishes it (invariants 3 and 10).
//!
//! This module does not decide what to finish and what to drop; whoever holds work does.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

/// A cloneable wish to stop, and the list of tasks that must finish first.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
    lost: Arc<OnceLock<&'static str>>,
}

/// Whether everything in hand was finished before the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// All tracked tasks ended by themselves.
    Completely,
    /// The deadline passed first; this many tasks were still running.
    LeftBehind(usize),
}

impl Shutdown {
    /// A token that nothing has requested yet and that listens to no signal.
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that SIGTERM (an orchestrator) or SIGINT (Ctrl-C) requests. A second signal ends the process at once with status
    /// 130, for the person who does not want to wait for the drain.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed. Must be called inside a tokio runtime.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let wish = shutdown.clone();
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            info!(signal = name, "{name}: taking no new work, finishing what is in hand");
            wish.request();
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            warn!(
                "second signal: leaving at once; unfinished work will be taken over by another process"
            );
            std::process::exit(130);
        });
        Ok(shutdown)
    }

    /// Asks everything that holds a clone to stop taking work. Asking twice changes nothing.
    pub fn request(&self) {
        self.token.cancel();
        self.tasks.close();
    }

    /// Whether stopping has been asked for.
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Resolves once stopping is asked for; at once if it already was. Safe to drop and call again in a `select!`.
    pub fn requested(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }

    /// A plain token that is cancelled together with this one, for libraries that want one; cancelling it does not stop us.
    pub fn child_token(&self) -> CancellationToken {
        self.token.child_token()
    }

    /// Runs `task` as something that [`Shutdown::drain`] waits for. The task itself watches [`Shutdown::requested`].
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Runs `task`, without which the process is no good: should it end or panic before stopping was asked for, the whole process
    /// stops, so that whoever watches it starts another. One that looks alive while its heart stands still is worse than none.
    pub fn essential<F>(&self, name: &'static str, task: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let shutdown = self.clone();
        tokio::spawn(async move {
            drop(AssertUnwindSafe(task).catch_unwind().await);
            if !shutdown.is_requested() {
                error!(task = name, "{name} has ended by itself: the process stops");
                shutdown.lost.set(name).ok();
                shutdown.request();
            }
        })
    }

    /// The essential task that ended by itself, if one did.
    pub fn lost(&self) -> Option<&'static str> {
        self.lost.get().copied()
    }

    /// Tracks `task` without spawning it, for a runtime other than the current one.
    pub fn track<F: Future>(&self, task: F) -> impl Future<Output = F::Output> + use<F> {
        self.tasks.track_future(task)
    }

    /// Waits for the wish to stop, then for the tracked tasks, but no longer than `at_most` after the wish.
    pub async fn drain(&self, at_most: Duration) -> Drained {
        self.requested().await;
        // `wait` returns only for a closed tracker; `request` closes it, and a second close does no harm.
        self.tasks.close();
        match tokio::time::timeout(at_most, self.tasks.wait()).await {
            Ok(()) => Drained::Completely,
            Err(_) => Drained::LeftBehind(self.tasks.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_in_hand_is_finished_before_the_drain_ends() {
        let shutdown = Shutdown::new();
        let (finish, wait) = oneshot::channel::<()>();
        let worker = shutdown.clone();
        let task = shutdown.spawn(async move {
            worker.requested().await;
            wait.await.is_ok()
        });

        shutdown.request();
        let draining = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.drain(Duration::from_secs(30)).await }
        });
        tokio::task::yield_now().await;
        assert!(!draining.is_finished(), "the drain must wait for the task");
        finish.send(()).expect("the task still waits");

        assert_eq!(draining.await.expect("no panic"), Drained::Completely);
        assert!(task.await.expect("no panic"));
    }

    #[tokio::test]
    async fn a_process_whose_heart_stops_stops() {
        let shutdown = Shutdown::new();
        let beating = shutdown.essential("beating", std::future::pending());
        let heart = shutdown.essential("heart", async { panic!("on purpose") });
        shutdown.requested().await;
        assert_eq!(shutdown.lost(), Some("heart"));
        heart.await.expect("the panic was caught");
        beating.abort();

        let asked = Shutdown::new();
        let ends = asked.clone();
        let heart = asked.essential("heart", async move { ends.requested().await });
        asked.request();
        heart.await.expect("no panic");
        assert_eq!(asked.lost(), None, "it was asked to");
    }

    #[tokio::test]
    async fn a_task_that_hangs_holds_the_process_no_longer_than_the_deadline() {
        let shutdown = Shutdown::new();
        shutdown.spawn(std::future::pending::<()>());
        shutdown.request();

        assert_eq!(shutdown.drain(Duration::from_millis(10)).await, Drained::LeftBehind(1));
    }

    #[tokio::test]
    async fn a_child_token_stops_with_us_but_cannot_stop_us() {
        let shutdown = Shutdown::new();
        shutdown.child_token().cancel();
        assert!(!shutdown.is_requested());

        let child = shutdown.child_token();
        shutdown.request();
        assert!(child.is_cancelled());
    }
}
