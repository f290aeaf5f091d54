//! The pace that a peer must keep: how long it may let us wait, and what moves it on.
//!
//! Promises: whoever moves nothing for the time allowed is late; so is, somewhat later, whoever
//! moves less than [`BYTES_A_SECOND_MIN`] all the time. Waiting is counted only while something
//! could go on: neither the ledger's own time nor a peer that has nothing to do counts. No timer is
//! made for a peer that never lets us wait.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Slowest pace that is waited for, in the long run.
const BYTES_A_SECOND_MIN: u32 = 4096;

/// Time that is used up by waiting and won back by what moves.
pub struct Pace {
    allowed: Duration,
    left: Duration,
    waits_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    /// A peer that may let us wait for so long.
    #[must_use]
    pub fn new(allowed: Duration) -> Self {
        Self { allowed, left: allowed, waits_since: None, alarm: None }
    }

    /// So many bytes moved.
    pub fn moved(&mut self, bytes: usize) {
        if let Some(since) = self.waits_since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        if self.left < self.allowed {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            let won = Duration::from_secs(1).saturating_mul(bytes) / BYTES_A_SECOND_MIN;
            self.left = self.left.saturating_add(won).min(self.allowed);
        }
    }

    /// Nothing moves now. Ready when the peer is late; otherwise the task is woken when it is.
    pub fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let due = match self.waits_since {
            Some(since) => since + self.left,
            None => {
                let now = Instant::now();
                self.waits_since = Some(now);
                now + self.left
            }
        };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if alarm.deadline() != due {
            alarm.as_mut().reset(due);
        }
        alarm.as_mut().poll(context)
    }
}

/// A stream that fails when its peer does not read.
pub struct Paced<S> {
    stream: S,
    writing: Pace,
    /// Counts those that were given up.
    late: Arc<AtomicU64>,
}

impl<S> Paced<S> {
    /// A stream whose peer may leave what is written unread for `allowed`.
    pub fn new(stream: S, allowed: Duration, late: Arc<AtomicU64>) -> Self {
        Self { stream, writing: Pace::new(allowed), late }
    }

    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match &polled {
            Poll::Ready(Ok(done)) => self.writing.moved(bytes(done)),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                ready!(self.writing.poll_late(context));
                self.late.fetch_add(1, Ordering::Relaxed);
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, polled, |written| *written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, polled, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(context, polled, |()| 0)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.judge(context, polled, |written| *written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const ALLOWED: Duration = Duration::from_millis(200);

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(test);
    }

    #[test]
    fn a_peer_that_does_not_read_is_given_up() {
        run(async {
            let (ours, theirs) = tokio::io::duplex(1024);
            let late = Arc::new(AtomicU64::new(0));
            let mut ours = Paced::new(ours, ALLOWED, Arc::clone(&late));
            let error = ours.write_all(&[0; 4096]).await.expect_err("nobody reads");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert_eq!(late.load(Ordering::Relaxed), 1);
            drop(theirs);
        });
    }

    #[test]
    fn a_peer_that_reads_a_byte_now_and_then_is_given_up_too() {
        run(async {
            let (ours, mut theirs) = tokio::io::duplex(16);
            let mut ours = Paced::new(ours, ALLOWED, Arc::default());
            let trickle = tokio::spawn(async move {
                let mut byte = [0];
                while theirs.read(&mut byte).await.is_ok_and(|length| length > 0) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
            let error = ours.write_all(&[0; 4096]).await.expect_err("too slow");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            trickle.abort();
        });
    }

    #[test]
    fn a_peer_that_reads_is_written_to_the_end() {
        run(async {
            let (ours, mut theirs) = tokio::io::duplex(16 << 10);
            let mut ours = Paced::new(ours, ALLOWED, Arc::default());
            let reader = tokio::spawn(async move {
                let (mut buffer, mut total) = (vec![0; 16 << 10], 0);
                while let Ok(length @ 1..) = theirs.read(&mut buffer).await {
                    total += length;
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
                total
            });
            // Ten times as long as it may be let wait at one time.
            ours.write_all(&vec![0; 1 << 20]).await.expect("it reads");
            ours.shutdown().await.expect("open");
            drop(ours);
            assert_eq!(reader.await.expect("no panic"), 1 << 20);
        });
    }
}
