//! Transactions in progress: what the server sends of them before they end, kept until it says how they end.
//!
//! A server that holds more changes of open transactions than `logical_decoding_work_mem` either writes them to its disk or,
//! where it was asked to (`streaming`, protocol 2), sends them: in blocks, each of one transaction, between which whole
//! transactions come as ever. Here a block's messages are kept, in memory and behind that in a file; a commit hands them to
//! the reader as if they came only now, a rollback drops them. So the reader sees whole transactions in the order of their
//! commits either way, and events, positions and what is confirmed are the same.
//!
//! **Confirming.** An open transaction neither holds back nor allows anything. Its commit stands behind every commit and
//! keepalive that has come, so a position that these allow to be confirmed is before that commit, and PostgreSQL sends whole
//! transactions whose commit is behind the confirmed position: after a restart this one comes again from its beginning. What
//! is kept here is never needed again, so it is never made durable.
//!
//! **Relations.** The server describes a table once a streamed transaction, and once to all others; it takes the first for
//! the second when the transaction has committed and the table did not change meanwhile. `ChangeReader` keeps them apart in
//! the same way.
//!
//! **Invariant**: what comes out is what would have come without streaming. Where this module cannot be sure of that, or its
//! bounds are reached, it gives up ([`GiveUp`]): the stream starts again from the stored offset without streaming, and the
//! server does the keeping.
//!
//! Protocol 2 is all that is needed. Version 3 would send a prepared transaction's changes before it commits, to be kept all
//! the same (without it they come at COMMIT PREPARED); version 4 adds the place and time of rollbacks.
//!
//! Source: PostgreSQL's manual, "Logical Streaming Replication Protocol"; `pgoutput.c` and `reorderbuffer.c`.

mod held;
mod release;
mod settings;

use std::collections::HashMap;
use std::io;

use walspring_connect::{DEBEZIUM_EXCEPTION, TaskError};
use walspring_pgoutput::{DecodeError, Decoder, Message, Piece, StreamCommit};

use self::held::{Cut, Held};
pub use self::release::Release;
pub use self::settings::{Refusals, Refused, Spill, Streaming};

/// Subtransactions whose beginnings are remembered, of all open transactions: 16 bytes each.
const SUBTRANSACTIONS_MAX: usize = 2 << 20;

#[derive(Debug)]
pub struct Streamed {
    spill: Spill,
    decoder: Decoder,
    open: HashMap<u32, Held>,
    /// The transaction whose block is being read.
    block: Option<u32>,
    /// Bytes in memory and in files, and remembered subtransactions, of all that are open.
    memory: usize,
    disk: u64,
    subs: usize,
    numbers: StreamedNumbers,
}

/// What is counted for `/metrics`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct StreamedNumbers {
    /// Transactions that began to come before their end.
    pub transactions: u64,
    /// Of these, the ones that were rolled back.
    pub rolled_back: u64,
    /// Open now.
    pub open: u64,
    /// Bytes held of open transactions and of the one that is being sent; those of them that are on disk.
    pub held_bytes: u64,
    pub disk_bytes: u64,
    /// Bytes that were written to disk since the stream began.
    pub spilled_bytes: u64,
}

/// What becomes of a payload.
#[derive(Debug)]
pub enum Taken {
    Kept,
    /// It is a commit: this is to be read before anything else; `None`: nothing is left.
    Committed(Option<Box<Release>>, StreamCommit),
    GiveUp(GiveUp),
}

/// Why transactions in progress are left to the server.
#[derive(Debug)]
pub enum GiveUp {
    /// `walspring.spill.max.bytes`
    DiskMax(u64),
    Disk(io::Error),
    Subtransactions,
    /// Its LSN at the origin is told only with its commit, and a streamed transaction's not at all.
    Origin,
    /// `pg_logical_emit_message` in a subtransaction is told as the whole transaction's.
    MessageRolledBack,
}

impl Streamed {
    pub fn new(spill: Spill) -> Streamed {
        Streamed {
            spill,
            decoder: Decoder::new(),
            open: HashMap::new(),
            block: None,
            memory: 0,
            disk: 0,
            subs: 0,
            numbers: StreamedNumbers::default(),
        }
    }

    /// Whether the payload is for [`Streamed::take`].
    #[inline]
    pub fn is_streamed(&self, payload: &[u8]) -> bool {
        self.block.is_some() || matches!(payload.first(), Some(b'S' | b'E' | b'c' | b'A'))
    }

    /// `relations`: how many relations have been described so far.
    pub fn take(&mut self, wal_start: u64, payload: &[u8], relations: &mut u64) -> Result<Taken, TaskError> {
        if self.block.is_some() && payload.first() != Some(&b'E') {
            return self.keep(wal_start, Piece::split(payload).map_err(undecodable)?, relations);
        }
        match self.decoder.decode(payload).map_err(undecodable)? {
            Message::StreamStart(m) => {
                if m.first_segment == self.open.contains_key(&m.xid) {
                    return Err(confused("a piece of a transaction out of turn"));
                }
                if m.first_segment {
                    self.open.insert(m.xid, Held::default());
                    self.numbers.transactions += 1;
                }
                self.block = Some(m.xid);
                Ok(Taken::Kept)
            }
            Message::StreamStop => {
                self.block = None;
                Ok(Taken::Kept)
            }
            Message::StreamCommit(commit) => {
                let held = self.remove(commit.xid).ok_or_else(|| confused("the commit of a transaction not begun"))?;
                if held.unsure {
                    return Ok(Taken::GiveUp(GiveUp::MessageRolledBack));
                }
                Ok(match Release::new(held, commit) {
                    Ok(release) => Taken::Committed(release.map(Box::new), commit),
                    Err(e) => Taken::GiveUp(GiveUp::Disk(e)),
                })
            }
            Message::StreamAbort(m) if m.xid == m.subxid => {
                self.numbers.rolled_back += u64::from(self.remove(m.xid).is_some());
                Ok(Taken::Kept)
            }
            Message::StreamAbort(m) => {
                let Some(held) = self.open.get_mut(&m.xid) else { return Ok(Taken::Kept) };
                let before = (held.tail.len(), held.flushed, held.subs());
                let cut = held.cut(m.xid, m.subxid);
                if let Ok(Cut::Unsure) = cut {
                    // It matters only if the whole commits. One that is rolled back often looks like this: of what is rolled
                    // back already when the server comes to it, messages are all that it can decode.
                    *held = Held::unsure();
                }
                self.memory -= before.0 - held.tail.len();
                self.disk -= before.1 - held.flushed;
                self.subs -= before.2 - held.subs();
                Ok(cut.map_or_else(|e| Taken::GiveUp(GiveUp::Disk(e)), |_| Taken::Kept))
            }
            _ => Err(confused("a message that was not asked for")),
        }
    }

    #[inline]
    fn keep(&mut self, wal_start: u64, piece: Piece<'_>, relations: &mut u64) -> Result<Taken, TaskError> {
        let Some((top, held)) = self.block.and_then(|top| self.open.get_mut(&top).map(|held| (top, held))) else {
            return Err(confused("a change of a transaction not begun"));
        };
        let mark = match piece.tag {
            b'O' => return Ok(Taken::GiveUp(GiveUp::Origin)),
            // The server gives descriptions no place.
            b'R' => {
                *relations += 1;
                *relations
            }
            _ => wal_start,
        };
        if held.unsure {
            return Ok(Taken::Kept);
        }
        let before = (held.tail.len(), held.subs());
        held.push(top, mark, &piece);
        self.memory += held.tail.len() - before.0;
        self.subs += held.subs() - before.1;
        if self.subs > SUBTRANSACTIONS_MAX {
            return Ok(Taken::GiveUp(GiveUp::Subtransactions));
        }
        if self.memory <= self.spill.memory_max {
            return Ok(Taken::Kept);
        }
        Ok(self.spill().map_or_else(Taken::GiveUp, |()| Taken::Kept))
    }

    /// Writes the transaction with the most in memory to its file: the others are likely to end before they grow.
    #[cold]
    fn spill(&mut self) -> Result<(), GiveUp> {
        let Some(largest) = self.open.values_mut().max_by_key(|held| held.tail.len()) else { return Ok(()) };
        let bytes = largest.tail.len();
        if self.disk + bytes as u64 > self.spill.disk_max {
            return Err(GiveUp::DiskMax(self.spill.disk_max));
        }
        let dir = &self.spill.dir;
        // Without a name from the beginning: nothing stays behind, and nobody else can open it.
        largest.flush(|| tempfile::tempfile_in(dir)).map_err(GiveUp::Disk)?;
        self.memory -= bytes;
        self.disk += bytes as u64;
        self.numbers.spilled_bytes += bytes as u64;
        Ok(())
    }

    fn remove(&mut self, xid: u32) -> Option<Held> {
        let held = self.open.remove(&xid)?;
        self.memory -= held.tail.len();
        self.disk -= held.flushed;
        self.subs -= held.subs();
        Some(held)
    }

    /// `releasing`: what of it is still to be sent.
    pub fn numbers(&self, releasing: Option<&Release>) -> StreamedNumbers {
        let (left, on_disk) = releasing.map_or((0, 0), |release| (release.left(), release.on_disk()));
        StreamedNumbers {
            open: self.open.len() as u64,
            held_bytes: self.memory as u64 + self.disk + left,
            disk_bytes: self.disk + on_disk,
            ..self.numbers
        }
    }
}

impl GiveUp {
    /// Ends the attempt; the next one is made without streaming.
    pub fn error(self) -> TaskError {
        let why = match self {
            GiveUp::DiskMax(max) => format!("they would take more than walspring.spill.max.bytes ({max}) on disk"),
            GiveUp::Disk(e) => format!("they cannot be kept on disk ({e}); walspring.spill.dir says where"),
            GiveUp::Subtransactions => format!("they have more than {SUBTRANSACTIONS_MAX} subtransactions"),
            GiveUp::Origin => "one was replayed from another node, and the stream tells its place there only later".into(),
            GiveUp::MessageRolledBack => {
                "a subtransaction that may hold a logical message was rolled back, and the stream does not tell whose it is"
                    .into()
            }
        };
        TaskError::transient(
            DEBEZIUM_EXCEPTION,
            format!(
                "Transactions in progress are left to the server to keep: {why}. The stream starts again without \
                 walspring.streaming until the connector is changed or the worker is started anew"
            ),
        )
    }
}

fn undecodable(e: DecodeError) -> TaskError {
    TaskError::transient(DEBEZIUM_EXCEPTION, format!("The stream cannot be decoded: {e}"))
}

fn confused(what: &str) -> TaskError {
    TaskError::transient(DEBEZIUM_EXCEPTION, format!("The server sent {what}"))
}

#[cfg(test)]
mod tests;
