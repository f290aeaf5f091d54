//! The threads that speak HTTP: lanes, each a runtime of its own.
//!
//! ```text
//! listener ──▶ lane 0: its connections, their handlers, the answers for them
//!          ──▶ lane 1: …
//! ```
//!
//! Promises: a connection stays on the lane that it was given to, in turn. What a commit answers
//! goes to each lane in one piece: one wake of its thread, however many requests waited.
//!
//! Assumes: handlers do not keep their thread for long. What waits for the disk, or takes its time,
//! goes to a blocking thread.
//!
//! Why not one runtime over all threads: a single event is a few microseconds of work between two
//! sleeps, and threads that look for each other's work wake each other for every one of them.

use std::cell::OnceCell;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ledgerline_ledger::intake::{Reply, SubmitAnswer};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot, watch};

/// Threads of all lanes that may wait for the disk.
const BLOCKING_THREADS: usize = 512;
/// For blocking work, when the lanes end.
const END: Duration = Duration::from_secs(1);

/// An answer and the request that waits for it.
type Answered = (oneshot::Sender<SubmitAnswer>, SubmitAnswer);

thread_local! {
    /// Of a lane's thread: where its answers are left.
    static ANSWERS: OnceCell<mpsc::UnboundedSender<Answered>> = const { OnceCell::new() };
}

/// All lanes. Ends them when dropped.
pub struct Lanes {
    handles: Vec<Handle>,
    next: AtomicUsize,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Lanes {
    /// Starts so many.
    ///
    /// # Errors
    /// When the system refuses a thread or what it listens with.
    pub fn start(count: usize) -> io::Result<Self> {
        let count = count.max(1);
        let (stop, stopped) = watch::channel(false);
        let mut lanes =
            Self { handles: Vec::new(), next: AtomicUsize::new(0), stop, threads: Vec::new() };
        for _ in 0..count {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads((BLOCKING_THREADS / count).max(1))
                .thread_name("ledgerline-wait")
                .build()?;
            lanes.handles.push(runtime.handle().clone());
            let mut stopped = stopped.clone();
            let thread = std::thread::Builder::new().name("ledgerline-http".to_owned());
            lanes.threads.push(thread.spawn(move || {
                let (sender, answers) = mpsc::unbounded_channel();
                // The thread is new: nothing was there.
                let _ = ANSWERS.with(|own| own.set(sender));
                runtime.block_on(async move {
                    tokio::spawn(answer(answers));
                    // Ends also when the lanes are gone.
                    let _ = stopped.wait_for(|stop| *stop).await;
                });
                runtime.shutdown_timeout(END);
            })?);
        }
        Ok(lanes)
    }

    /// The lane of the next connection.
    pub fn next(&self) -> &Handle {
        &self.handles[self.next.fetch_add(1, Ordering::Relaxed) % self.handles.len()]
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        for thread in self.threads.drain(..) {
            // A panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

/// Gives a lane's answers to its requests.
async fn answer(mut answers: mpsc::UnboundedReceiver<Answered>) {
    while let Some((request, answer)) = answers.recv().await {
        // The request is gone when its client is; the events stand all the same.
        let _ = request.send(answer);
    }
}

/// Where the ledger leaves an answer, and where the calling request waits for it.
#[must_use]
pub fn reply_here() -> (Reply, oneshot::Receiver<SubmitAnswer>) {
    let (send, receive) = oneshot::channel();
    let lane = ANSWERS.with(|own| own.get().cloned());
    let reply: Reply = match lane {
        Some(lane) => Box::new(move |answer| drop(lane.send((send, answer)))),
        None => Box::new(move |answer| drop(send.send(answer))),
    };
    (reply, receive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer_with(checkpoint: &str) -> SubmitAnswer {
        SubmitAnswer { checkpoint: Some(checkpoint.into()), ..SubmitAnswer::default() }
    }

    #[test]
    fn an_answer_from_elsewhere_reaches_the_request_that_waits_on_a_lane() {
        let lanes = Lanes::start(2).expect("two threads");
        let mut waiting = Vec::new();
        for n in 0..64 {
            let (tell, told) = std::sync::mpsc::channel();
            let request = lanes.next().spawn(async move {
                let (reply, answer) = reply_here();
                tell.send((std::thread::current().id(), reply)).expect("the test listens");
                answer.await
            });
            waiting.push((n, told.recv().expect("the lane runs"), request));
        }
        let threads: std::collections::HashSet<_> =
            waiting.iter().map(|(_, (thread, _), _)| *thread).collect();
        assert_eq!(threads.len(), 2, "connections are given to the lanes in turn");
        let mut requests = Vec::new();
        for (n, (_, reply), request) in waiting {
            reply(answer_with(&format!("checkpoint {n}")));
            requests.push((n, request));
        }
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        for (n, request) in requests {
            let answer = runtime.block_on(request).expect("no panic").expect("an answer");
            assert_eq!(answer.checkpoint.as_deref(), Some(&*format!("checkpoint {n}")));
        }
    }

    #[test]
    fn a_request_that_is_gone_takes_no_other_with_it() {
        let lanes = Lanes::start(1).expect("a thread");
        let (tell, told) = std::sync::mpsc::channel();
        let request = lanes.next().spawn(async move {
            let (gone, _) = reply_here();
            let (reply, answer) = reply_here();
            tell.send((gone, reply)).expect("the test listens");
            answer.await
        });
        let (gone, reply) = told.recv().expect("the lane runs");
        gone(answer_with("for nobody"));
        reply(answer_with("for somebody"));
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let answer = runtime.block_on(request).expect("no panic").expect("an answer");
        assert_eq!(answer.checkpoint.as_deref(), Some("for somebody"));
    }

    #[test]
    fn without_a_lane_the_answer_comes_straight() {
        let (reply, answer) = reply_here();
        reply(answer_with("straight"));
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let answer = runtime.block_on(answer).expect("an answer");
        assert_eq!(answer.checkpoint.as_deref(), Some("straight"));
    }
}
