//! The encrypted stream after the handshake, which notes what the remote says first.

use std::{
    io,
    pin::Pin,
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};
use snow::TransportState;

use crate::{forge::handshake::Progress, security::Wire, sniffer::Sniffer};

const MAX_PLAIN: usize = 16 * 1024;
const TAG: usize = 16;

pub(crate) struct NoiseStream<C> {
    socket: C,
    session: TransportState,
    /// Bytes of the socket that are no whole frame yet.
    encrypted: Vec<u8>,
    /// What was decrypted, taken up to `taken`.
    plain: Vec<u8>,
    taken: usize,
    /// Encrypted bytes that the socket has not taken yet, sent up to `sent`.
    outgoing: Vec<u8>,
    sent: usize,
    progress: Arc<Progress>,
    sniffer: Sniffer,
}

impl<C: Wire> NoiseStream<C> {
    pub(crate) fn new(socket: C, session: TransportState, progress: Arc<Progress>) -> Self {
        Self {
            socket,
            session,
            encrypted: Vec::new(),
            plain: Vec::new(),
            taken: 0,
            outgoing: Vec::new(),
            sent: 0,
            progress,
            sniffer: Sniffer::default(),
        }
    }

    /// Decrypts the next frame into `plain`; `false` while it is incomplete.
    fn decrypt(&mut self) -> io::Result<bool> {
        let [high, low, frame @ ..] = self.encrypted.as_slice() else {
            return Ok(false);
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(frame) = frame.get(..length) else {
            return Ok(false);
        };
        self.plain.resize(length, 0);
        let plain = self.session.read_message(frame, &mut self.plain).map_err(io::Error::other)?;
        self.plain.truncate(plain);
        self.taken = 0;
        self.encrypted.drain(..2 + length);
        self.progress.accepted.store(true, Relaxed);
        if let Some(protocol) = self.sniffer.feed(&self.plain) {
            *self.progress.muxer.lock().unwrap_or_else(PoisonError::into_inner) = Some(protocol);
        }
        Ok(true)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.outgoing.len() {
            let count = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.outgoing[self.sent..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
        }
        self.outgoing.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl<C: Wire> AsyncRead for NoiseStream<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        loop {
            let left = &this.plain[this.taken..];
            if !left.is_empty() {
                let count = left.len().min(into.len());
                into[..count].copy_from_slice(&left[..count]);
                this.taken += count;
                return Poll::Ready(Ok(count));
            }
            if this.decrypt()? {
                continue;
            }
            let mut chunk = [0; 4096];
            let count = ready!(Pin::new(&mut this.socket).poll_read(cx, &mut chunk))?;
            if count == 0 {
                return Poll::Ready(Ok(0));
            }
            this.encrypted.extend_from_slice(&chunk[..count]);
        }
    }
}

impl<C: Wire> AsyncWrite for NoiseStream<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_send(cx))?;
        let plain = &bytes[..bytes.len().min(MAX_PLAIN)];
        this.outgoing.resize(2 + plain.len() + TAG, 0);
        let length = this.session.write_message(plain, &mut this.outgoing[2..]).map_err(io::Error::other)?;
        let prefix = u16::try_from(length).map_err(io::Error::other)?.to_be_bytes();
        this.outgoing[..2].copy_from_slice(&prefix);
        this.outgoing.truncate(2 + length);
        // What the socket does not take now goes with the next write or flush.
        if let Poll::Ready(Err(error)) = this.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(plain.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.socket).poll_close(cx)
    }
}
