//! The bytes of a connection, with or without TLS, shared between a reading and a writing thread.
//!
//! With TLS there is one cipher state and two threads. Its lock is held only for work in memory: socket reads and
//! writes happen outside of it, so a reader that waits for the server never delays a status message. Ciphertext must
//! leave in the order it was made, which is what the outer write lock is for. Lock order: write lock, then cipher.

use super::error::PgError;
use super::socket::{Deadline, Socket};
use rustls::ClientConnection;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Size of a read of ciphertext: a few TLS records of 16 KiB each.
const CIPHERTEXT_READ_BYTES: usize = 128 * 1024;

pub(crate) struct Transport {
    socket: Socket,
    cipher: Option<Mutex<ClientConnection>>,
    /// Guards the order of writes; holds ciphertext on its way out.
    write: Mutex<Vec<u8>>,
    /// A write failed half-way: nothing more can be sent.
    broken: AtomicBool,
}

/// The reader's own part: ciphertext read from the socket and not yet given to the cipher.
#[derive(Default)]
pub(crate) struct Ciphertext {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Transport {
    pub fn new(socket: Socket, cipher: Option<ClientConnection>) -> Self {
        Self { socket, cipher: cipher.map(Mutex::new), write: Mutex::default(), broken: AtomicBool::new(false) }
    }

    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    pub fn is_encrypted(&self) -> bool {
        self.cipher.is_some()
    }

    /// The server's certificate, DER.
    pub fn peer_certificate(&self) -> Option<Vec<u8>> {
        let cipher = lock(self.cipher.as_ref()?);
        cipher.peer_certificates()?.first().map(|certificate| certificate.to_vec())
    }

    /// Reads what there is, without waiting: `WouldBlock` if nothing, 0 at the end. Only one thread may read.
    pub fn read(&self, out: &mut [u8], ciphertext: &mut Ciphertext) -> io::Result<usize> {
        let Some(cipher) = &self.cipher else { return self.socket.read(out) };
        loop {
            let (filled, wants_write) = decrypt(&mut lock(cipher), out, ciphertext)?;
            if wants_write {
                self.flush_cipher(cipher);
            }
            match filled {
                Decrypted::Bytes(filled) => return Ok(filled),
                Decrypted::End => return Ok(0),
                Decrypted::NeedMore => {}
            }
            if ciphertext.bytes.is_empty() {
                ciphertext.bytes.resize(CIPHERTEXT_READ_BYTES, 0);
            }
            (ciphertext.start, ciphertext.end) = (0, 0);
            ciphertext.end = self.socket.read(&mut ciphertext.bytes)?;
            if ciphertext.end == 0 {
                // Without a close_notify: PostgreSQL does that when it crashes; the protocol's own framing tells.
                return Ok(0);
            }
        }
    }

    /// Sends all of it. After a failure nothing more can be sent.
    pub fn write_all(&self, bytes: &[u8], deadline: Deadline) -> Result<(), PgError> {
        let mut outgoing = lock(&self.write);
        if self.broken.load(Ordering::Relaxed) {
            return Err(PgError::io("could not send data to server", io::ErrorKind::BrokenPipe.into()));
        }
        let sent = match &self.cipher {
            None => self.socket.write_all(bytes, deadline),
            Some(cipher) => {
                outgoing.clear();
                encrypt(&mut lock(cipher), bytes, &mut outgoing)
                    .and_then(|()| self.socket.write_all(&outgoing, deadline))
            }
        };
        sent.map_err(|error| {
            self.broken.store(true, Ordering::Relaxed);
            PgError::io("could not send data to server", error)
        })
    }

    /// Wakes the reader and ends the connection.
    pub fn shutdown(&self) {
        self.broken.store(true, Ordering::Relaxed);
        self.socket.shutdown();
    }

    /// Whether a write failed or the connection was shut down.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Sends what reading made necessary: an alert, or the answer to a key update. If someone is writing just now,
    /// that or the next write takes it along: the reader does not wait.
    fn flush_cipher(&self, cipher: &Mutex<ClientConnection>) {
        let Ok(mut outgoing) = self.write.try_lock() else { return };
        outgoing.clear();
        let made = encrypt(&mut lock(cipher), b"", &mut outgoing);
        if made.and_then(|()| self.socket.write_all(&outgoing, Some(std::time::Instant::now()))).is_err() {
            self.broken.store(true, Ordering::Relaxed);
        }
    }
}

enum Decrypted {
    Bytes(usize),
    NeedMore,
    End,
}

/// Turns ciphertext into plain bytes until `out` is full or the ciphertext is used up. Also whether there is something
/// to send.
fn decrypt(
    cipher: &mut ClientConnection,
    out: &mut [u8],
    ciphertext: &mut Ciphertext,
) -> io::Result<(Decrypted, bool)> {
    let mut filled = 0;
    let mut ended = false;
    while filled < out.len() && !ended {
        match cipher.reader().read(&mut out[filled..]) {
            Ok(0) => ended = true,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if ciphertext.start == ciphertext.end {
                    break;
                }
                let mut rest = &ciphertext.bytes[ciphertext.start..ciphertext.end];
                ciphertext.start += cipher.read_tls(&mut rest)?;
                cipher.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            }
            Err(error) => return Err(error),
        }
    }
    let decrypted = match (filled, ended) {
        (0, true) => Decrypted::End,
        (0, false) => Decrypted::NeedMore,
        (filled, _) => Decrypted::Bytes(filled),
    };
    Ok((decrypted, cipher.wants_write()))
}

/// Appends the ciphertext of `bytes`, and of whatever else waits to be sent.
fn encrypt(cipher: &mut ClientConnection, mut bytes: &[u8], outgoing: &mut Vec<u8>) -> io::Result<()> {
    loop {
        // The writer takes at most its buffer limit at once.
        let taken = cipher.writer().write(bytes)?;
        bytes = &bytes[taken..];
        while cipher.wants_write() {
            cipher.write_tls(outgoing)?;
        }
        if bytes.is_empty() {
            return Ok(());
        }
    }
}

/// A panic of another thread while it held the lock is its own matter; the data is plain bytes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
