//! Where events arrive one by one and are stored together: whoever comes while a transaction is under way is in the next one.
//!
//! Nobody waits for others to come: an event that is alone is stored alone, at once.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use super::receive::{Arrival, EventError, Reception, Told};
use crate::store::StoreError;

/// Events of one transaction, at most.
pub const MOST: usize = 500;

/// Transactions under way at once: while one waits for the disk, the next is judged.
const AT_ONCE: usize = 2;

/// Events that wait for their turn; who comes then waits at the door.
const WAITING: usize = 2 * MOST;

/// One event, and who waits for its answer.
struct Waiting {
    arrival: Arrival,
    answer: oneshot::Sender<Result<Told, EventError>>,
}

/// The desk of one process. Clones share it.
#[derive(Clone, Debug)]
pub struct Desk {
    waiting: mpsc::Sender<Waiting>,
}

impl Desk {
    /// Opens it, inside a tokio runtime; it closes with its last clone.
    pub fn open(reception: Reception) -> Self {
        let (waiting, line) = mpsc::channel(WAITING);
        let (reception, line) = (Arc::new(reception), Arc::new(Mutex::new(line)));
        for _ in 0..AT_ONCE {
            tokio::spawn(serve(Arc::clone(&reception), Arc::clone(&line)));
        }
        Self { waiting }
    }

    /// Stores one event, together with whoever comes at the same moment.
    pub async fn tell(&self, arrival: Arrival) -> Result<Told, EventError> {
        let (answer, answered) = oneshot::channel();
        // Neither fails while the desk's tasks live; should one have panicked, the event is told again like after any outage.
        let gone = || EventError::Store(StoreError::Database(sqlx::Error::WorkerCrashed));
        self.waiting.send(Waiting { arrival, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Stores these together with whoever comes at the same moment; one answer each.
    pub async fn tell_all(&self, arrivals: Vec<Arrival>) -> Vec<Result<Told, EventError>> {
        let telling = arrivals.into_iter().map(|arrival| self.tell(arrival));
        futures_util::future::join_all(telling).await
    }
}

async fn serve(reception: Arc<Reception>, line: Arc<Mutex<mpsc::Receiver<Waiting>>>) {
    loop {
        let mut group = Vec::new();
        // The lock is let go of before the group is stored, so that the other one takes the next.
        if line.lock().await.recv_many(&mut group, MOST).await == 0 {
            return;
        }
        store(&reception, group).await;
    }
}

/// Stores a group. Should one event be impossible to store, the others are not to suffer for it: each by itself, then.
async fn store(reception: &Reception, group: Vec<Waiting>) {
    let arrivals: Vec<Arrival> = group.iter().map(|waiting| waiting.arrival.clone()).collect();
    match reception.receive(arrivals).await {
        Ok(answers) => {
            for (waiting, answer) in group.into_iter().zip(answers) {
                // Whoever went away asks again.
                waiting.answer.send(answer).ok();
            }
        }
        Err(error) if group.len() == 1 || error.is_outage() => {
            let mut error = Some(error);
            for waiting in group {
                let error = error.take();
                let error = error.unwrap_or(StoreError::Database(sqlx::Error::PoolTimedOut));
                waiting.answer.send(Err(EventError::Store(error))).ok();
            }
        }
        Err(error) => {
            tracing::warn!(%error, "a group of events could not be stored, so each by itself: {error}");
            for waiting in group {
                Box::pin(store(reception, vec![waiting])).await;
            }
        }
    }
}
