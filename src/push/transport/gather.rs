//! Gathers what `h2` writes, so that a turn of a connection is one write and not one for every push.
//!
//! `h2` flushes whenever a DATA frame of 1,024 bytes or more follows (256 when the stream is vectored), and each flush becomes a TLS
//! record and a system call of its own. A Vietnamese warning with its instruction is longer than that: measured, three quarters of
//! a push's processor time, and as much at the peer. So `h2` writes into a buffer here and its flushes are taken as done; when the
//! connection has had its turn, [`Wire::poll`] writes all of it.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use h2::client::Connection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::Body;

/// So much is gathered before it is written within a turn: four TLS records.
const FULL: usize = 64 * 1024;

/// A connection, and what it has said but not yet sent.
pub(super) struct Wire {
    pub(super) connection: Connection<Gathering<TlsStream<TcpStream>>, Body>,
    pub(super) gathered: Gathered<TlsStream<TcpStream>>,
}

impl Wire {
    /// Gives the connection its turn and sends what it has said. Ready when the connection is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        if let Poll::Ready(over) = Pin::new(&mut self.connection).poll(cx) {
            return Poll::Ready(over.map_err(|error| error.to_string()));
        }
        match self.gathered.poll_send(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.to_string())),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }
}

/// The stream that `h2` is given.
pub(super) struct Gathering<S>(Arc<Mutex<Inner<S>>>);

/// The same stream in the hands of whoever gives the turns. Never locked while it is locked: both are used by one task.
pub(super) struct Gathered<S>(Arc<Mutex<Inner<S>>>);

struct Inner<S> {
    stream: S,
    waiting: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gathering<S> {
    /// Two handles on one stream.
    pub(super) fn over(stream: S) -> (Self, Gathered<S>) {
        let inner = Arc::new(Mutex::new(Inner { stream, waiting: BytesMut::new() }));
        (Self(Arc::clone(&inner)), Gathered(inner))
    }

    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    /// Sends what is waiting, as far as the peer takes it.
    fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).poll_send(cx)
    }
}

impl<S: AsyncWrite + Unpin> Inner<S> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_out(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.waiting.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathering<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gathering<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.lock();
        if inner.waiting.len() >= FULL {
            ready!(inner.poll_write_out(cx))?;
        }
        inner.waiting.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    /// Taken as done: the turn ends with [`Wire::poll`], which sends everything.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        ready!(inner.poll_send(cx))?;
        Pin::new(&mut inner.stream).poll_shutdown(cx)
    }

    /// `h2` writes headers and a long body in one piece to a vectored stream, and without copying the body first.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.lock();
        if inner.waiting.len() >= FULL {
            ready!(inner.poll_write_out(cx))?;
        }
        let mut written = 0;
        for buf in bufs {
            inner.waiting.extend_from_slice(buf);
            written += buf.len();
        }
        Poll::Ready(Ok(written))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_is_written_in_a_turn_leaves_when_the_turn_ends() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (mut writing, gathered) = Gathering::over(near);
        for part in ["HEADERS", "DATA"] {
            writing.write_all(part.as_bytes()).await.unwrap();
            writing.flush().await.unwrap();
        }
        let mut read = [0; 11];
        let early = std::future::poll_fn(|cx| {
            let mut buf = ReadBuf::new(&mut read);
            Poll::Ready(Pin::new(&mut far).poll_read(cx, &mut buf).is_ready())
        });
        assert!(!early.await, "nothing has left yet");
        std::future::poll_fn(|cx| gathered.poll_send(cx)).await.unwrap();
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"HEADERSDATA");
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_not_written_to_without_end() {
        let (near, _far) = tokio::io::duplex(1024);
        let (mut writing, _gathered) = Gathering::over(near);
        let block = vec![0; 16 * 1024];
        let taken = std::future::poll_fn(|cx| {
            let mut taken = 0;
            while let Poll::Ready(Ok(some)) = Pin::new(&mut writing).poll_write(cx, &block) {
                taken += some;
            }
            Poll::Ready(taken)
        });
        assert_eq!(taken.await, FULL);
    }

    #[tokio::test]
    async fn a_goodbye_sends_what_is_waiting_first() {
        let (near, mut far) = tokio::io::duplex(1024);
        let (mut writing, _gathered) = Gathering::over(near);
        writing.write_all(b"GOAWAY").await.unwrap();
        writing.shutdown().await.unwrap();
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"GOAWAY");
    }
}
