//! A request's body, as far as it has arrived.

use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::task::noop_waker_ref;
use h2::RecvStream;

/// What has come of a body so far.
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// This much, and where the rest will come.
    Partial(BytesMut, RecvStream),
    /// Its stream is no more.
    Gone,
}

/// The body, if all of it has arrived. Without a copy when it came in one frame, as pushes do.
pub fn read_now(mut body: RecvStream) -> Body {
    let mut cx = Context::from_waker(noop_waker_ref());
    let mut first = Bytes::new();
    loop {
        if body.is_end_stream() {
            return Body::Whole(first);
        }
        match body.poll_data(&mut cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                // A failure to return window means the stream is gone; the next read says so.
                let _ = body.flow_control().release_capacity(chunk.len());
                if first.is_empty() {
                    first = chunk;
                } else {
                    let mut read = BytesMut::from(first.as_ref());
                    read.extend_from_slice(&chunk);
                    return Body::Partial(read, body);
                }
            }
            Poll::Ready(Some(Err(_))) => return Body::Gone,
            Poll::Ready(None) => return Body::Whole(first),
            Poll::Pending => return Body::Partial(BytesMut::from(first.as_ref()), body),
        }
    }
}
