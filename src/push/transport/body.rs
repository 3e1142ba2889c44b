//! A request's body, most of which is the same for every device.

use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// What is one device's own, then what all have in common, which is shared and never copied for a request.
#[derive(Clone, Debug, Default)]
pub struct Body {
    own: Bytes,
    shared: Bytes,
}

impl Body {
    /// Both parts, in the order in which they are sent.
    pub fn of(own: Bytes, shared: Bytes) -> Self {
        Self { own, shared }
    }
}

impl From<Bytes> for Body {
    fn from(shared: Bytes) -> Self {
        Self { own: Bytes::new(), shared }
    }
}

impl Buf for Body {
    fn remaining(&self) -> usize {
        self.own.len() + self.shared.len()
    }

    fn chunk(&self) -> &[u8] {
        if self.own.is_empty() { &self.shared } else { &self.own }
    }

    fn chunks_vectored<'a>(&'a self, to: &mut [IoSlice<'a>]) -> usize {
        let parts = [&self.own, &self.shared].into_iter().filter(|part| !part.is_empty());
        let mut filled = 0;
        for (slice, part) in to.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, count: usize) {
        let own = count.min(self.own.len());
        self.own.advance(own);
        self.shared.advance(count - own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_parts_read_as_one() {
        for step in 1..=9 {
            let mut body = Body::of(Bytes::from_static(b"own "), Bytes::from_static(b"shared"));
            let mut read = Vec::new();
            while body.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 2];
                let filled = body.chunks_vectored(&mut slices);
                assert!(filled > 0);
                assert_eq!(&slices[0][..], body.chunk());
                let taken = step.min(body.chunk().len());
                read.extend_from_slice(&body.chunk()[..taken]);
                body.advance(taken);
            }
            assert_eq!(read, b"own shared");
        }
        let mut whole = Body::from(Bytes::from_static(b"all"));
        whole.advance(3);
        assert_eq!(whole.remaining(), 0);
    }
}
