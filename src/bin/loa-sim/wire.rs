//! What `h2`'s server cannot say, said beneath it: a changing `SETTINGS_MAX_CONCURRENT_STREAMS`, a GOAWAY with debug data
//! and a last stream id below those in flight, silence on PING. [`Tap`] sits between `h2` and TLS, follows the frame
//! boundaries (RFC 9113 §4.1) in both directions, slips frames in between two of `h2`'s and takes the peer's
//! acknowledgements of those out again.
//!
//! It also answers `is_write_vectored` with no, so that `h2` gathers small frames into one TLS record.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::exchange::GoAway;

const HEADER: usize = 9;
const PREFACE: usize = 24;
const HEADERS: u8 = 0x1;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const ACK: u8 = 0x1;
const SETTINGS_MAX_CONCURRENT_STREAMS: u16 = 0x3;

/// The handle by which a connection's owner slips frames in.
#[derive(Clone, Default)]
pub struct Wire(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Whole frames that wait for the next boundary.
    outgoing: BytesMut,
    /// One entry for each SETTINGS on the wire without an answer; ours carry their limit.
    unacknowledged: VecDeque<Option<u32>>,
    /// Limits queued in `outgoing`, in order.
    queued: VecDeque<u32>,
    announced: Option<u32>,
    acknowledged: Option<u32>,
    /// The highest stream opened so far, and before the last acknowledgement of ours.
    opened: u32,
    opened_before_acknowledgement: u32,
    mute_pings: bool,
}

impl Wire {
    /// Announces how many streams the peer may have open from now on.
    pub fn announce_streams(&self, limit: u32) {
        let mut state = self.state();
        if state.announced == Some(limit) {
            return;
        }
        state.announced = Some(limit);
        state.queued.push_back(limit);
        frame(&mut state.outgoing, SETTINGS, 6);
        state.outgoing.put_u16(SETTINGS_MAX_CONCURRENT_STREAMS);
        state.outgoing.put_u32(limit);
    }

    /// What was last announced.
    pub fn announced(&self) -> Option<u32> {
        self.state().announced
    }

    /// How many streams the peer may have open without being at fault, and up to which stream it could not know: a lower
    /// limit counts only once acknowledged, and only for streams opened after that.
    pub fn allowed_streams(&self) -> (u32, u32) {
        let state = self.state();
        let allowed = match (state.acknowledged, state.announced) {
            (Some(acknowledged), Some(announced)) => acknowledged.max(announced),
            _ => u32::MAX,
        };
        (allowed, state.opened_before_acknowledgement)
    }

    /// Says good-bye: streams above `last` will not be processed.
    pub fn go_away(&self, last: u32, notice: &GoAway) {
        let mut state = self.state();
        frame(&mut state.outgoing, GOAWAY, 8 + notice.debug.len());
        state.outgoing.put_u32(last);
        state.outgoing.put_u32(notice.code);
        state.outgoing.put_slice(notice.debug.as_bytes());
    }

    /// Whether PING stays unanswered.
    pub fn mute_pings(&self, mute: bool) {
        self.state().mute_pings = mute;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A frame header on stream 0 without flags. All frames slipped in are short.
fn frame(out: &mut BytesMut, kind: u8, length: usize) {
    out.put_uint(length as u64, 3);
    out.put_u8(kind);
    out.put_u8(0);
    out.put_u32(0);
}

/// Where in a stream of frames one direction stands.
#[derive(Default)]
struct Cursor {
    header: [u8; HEADER],
    have: usize,
    payload: usize,
}

impl Cursor {
    const fn at_boundary(&self) -> bool {
        self.have == 0 && self.payload == 0
    }

    /// How much of `bytes` reaches to the next boundary.
    fn to_boundary(&self, bytes: &[u8]) -> usize {
        if self.payload > 0 {
            return self.payload.min(bytes.len());
        }
        let missing = HEADER - self.have;
        if bytes.len() < missing {
            return bytes.len();
        }
        let mut header = self.header;
        header[self.have..].copy_from_slice(&bytes[..missing]);
        (missing + payload_length(&header)).min(bytes.len())
    }

    /// Goes past `bytes`, showing each complete header to `see`.
    fn advance(&mut self, mut bytes: &[u8], mut see: impl FnMut(&[u8; HEADER])) {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let step = self.payload.min(bytes.len());
                self.payload -= step;
                bytes.advance(step);
                continue;
            }
            let step = (HEADER - self.have).min(bytes.len());
            self.header[self.have..self.have + step].copy_from_slice(&bytes[..step]);
            self.have += step;
            bytes.advance(step);
            if self.have == HEADER {
                self.have = 0;
                self.payload = payload_length(&self.header);
                see(&self.header);
            }
        }
    }
}

const fn payload_length(header: &[u8; HEADER]) -> usize {
    (header[0] as usize) << 16 | (header[1] as usize) << 8 | header[2] as usize
}

/// The transport `h2` sees.
pub struct Tap<S> {
    io: S,
    wire: Wire,
    outbound: Cursor,
    inbound: Cursor,
    /// Frames of ours that are being written now; nothing of `h2`'s may come in between.
    writing: BytesMut,
    /// Inbound bytes that have not been looked at: between two reads at most an incomplete header.
    held: BytesMut,
    /// Inbound bytes that `h2` may see, when they were more than it had room for.
    passed: BytesMut,
    preface: usize,
    dropping: bool,
    /// The header of the frame under way has been shown to `h2`, at least in part.
    shown: bool,
}

impl<S> Tap<S> {
    /// Taps `io`, on which nothing has been spoken yet.
    pub fn new(io: S, wire: Wire) -> Self {
        Self {
            io,
            wire,
            outbound: Cursor::default(),
            inbound: Cursor::default(),
            writing: BytesMut::new(),
            held: BytesMut::new(),
            passed: BytesMut::new(),
            preface: PREFACE,
            dropping: false,
            shown: false,
        }
    }
}

impl<S: AsyncWrite + Unpin> Tap<S> {
    /// Writes our own frames if `h2` stands at a boundary.
    fn write_own(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.writing.is_empty() && self.outbound.at_boundary() {
            let mut state = self.wire.state();
            if !state.outgoing.is_empty() {
                self.writing = state.outgoing.split();
                while let Some(limit) = state.queued.pop_front() {
                    state.unacknowledged.push_back(Some(limit));
                }
            }
        }
        while !self.writing.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.writing))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.writing.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.write_own(cx))?;
        let ours_wait = !this.wire.state().outgoing.is_empty();
        let most = if ours_wait { this.outbound.to_boundary(buf) } else { buf.len() };
        let written = ready!(Pin::new(&mut this.io).poll_write(cx, &buf[..most]))?;
        let Self { outbound, wire, .. } = this;
        outbound.advance(&buf[..written], |header| {
            if header[3] == SETTINGS && header[4] & ACK == 0 {
                wire.state().unacknowledged.push_back(None);
            }
        });
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.write_own(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        false
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.passed.is_empty() && this.held.is_empty() && !this.must_filter() {
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
            this.follow(&buf.filled()[before..]);
            return Poll::Ready(Ok(()));
        }
        while this.passed.is_empty() {
            let mut scratch = [0; 16_384];
            let mut read = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.held.extend_from_slice(read.filled());
            this.filter();
        }
        let step = this.passed.len().min(buf.remaining());
        buf.put_slice(&this.passed.split_to(step));
        Poll::Ready(Ok(()))
    }
}

impl<S> Tap<S> {
    fn must_filter(&self) -> bool {
        let state = self.wire.state();
        self.dropping || state.mute_pings || state.unacknowledged.iter().any(Option::is_some)
    }

    /// Keeps the position while everything passes.
    fn follow(&mut self, mut bytes: &[u8]) {
        let step = self.preface.min(bytes.len());
        self.preface -= step;
        bytes.advance(step);
        let Self { inbound, wire, .. } = self;
        inbound.advance(bytes, |header| {
            wire.state().is_ours(header);
        });
        self.shown = self.inbound.have > 0;
    }

    /// Moves what `h2` may see from `held` to `passed`; an incomplete header stays.
    fn filter(&mut self) {
        let step = self.preface.min(self.held.len());
        self.preface -= step;
        self.passed.unsplit(self.held.split_to(step));
        while !self.held.is_empty() {
            if self.inbound.payload > 0 {
                let step = self.inbound.payload.min(self.held.len());
                let bytes = self.held.split_to(step);
                self.inbound.advance(&bytes, |_| ());
                if !self.dropping {
                    self.passed.extend_from_slice(&bytes);
                }
                continue;
            }
            self.dropping = false;
            let missing = HEADER - self.inbound.have;
            if self.held.len() < missing {
                return;
            }
            let bytes = self.held.split_to(missing);
            let Self { inbound, wire, dropping, shown, .. } = self;
            inbound.advance(&bytes, |header| *dropping = wire.state().is_ours(header) && !*shown);
            self.shown = false;
            if !self.dropping {
                self.passed.extend_from_slice(&bytes);
            }
        }
        if self.inbound.payload == 0 {
            self.dropping = false;
        }
    }
}

impl State {
    /// Takes note of an inbound frame; true when `h2` must not see it.
    fn is_ours(&mut self, header: &[u8; HEADER]) -> bool {
        let [_, _, _, kind, flags, stream @ ..] = *header;
        match kind {
            HEADERS => self.opened = self.opened.max(u32::from_be_bytes(stream)),
            SETTINGS if flags & ACK != 0 => {
                if let Some(limit) = self.unacknowledged.pop_front().flatten() {
                    self.acknowledged = Some(limit);
                    self.opened_before_acknowledgement = self.opened;
                    return true;
                }
            }
            PING => return flags & ACK == 0 && self.mute_pings,
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests;
