//! What is written to, as its readers see it: Kafka with transactions, Kafka without, or the embedded log.
//!
//! Every change of it is held against the invariants at once: see [`Account`].

use std::collections::HashMap;

use walspring_connect::Props;
use walspring_debezium::DebeziumOffset;

use crate::server::Server;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Offsets go with the records' transactions; a newer producer fences.
    Transactions,
    /// Offsets are written by the runtime when records are durable.
    AtLeastOnce,
    /// Frames of a file: written, then synced.
    Embedded,
}

/// Records (by their rows' numbers) and the offset behind them.
#[derive(Debug, Clone, Default)]
pub struct Written {
    pub rows: Vec<u64>,
    pub offset: Option<Vec<u8>>,
}

#[derive(Debug)]
pub struct Log {
    pub kind: Kind,
    /// The newest producer: older ones are fenced.
    pub epoch: u64,
    /// The transaction that is open.
    pub open: Written,
    /// One that is committed for good and that readers do not see yet.
    pub decided: Option<Written>,
    /// Frames that a power cut may take.
    pub unsynced: Vec<Written>,
    /// Of producers without transactions: the tickets that have come, by producer.
    pub last_ticket: HashMap<u64, u64>,
    pub account: Account,
}

/// What readers see, and what has to hold of it.
#[derive(Debug, Default)]
pub struct Account {
    /// How many rows have come, each for the first time.
    pub reached: u64,
    /// The row that has to come next.
    next: u64,
    /// The newest offset, and how many rows it says.
    pub offset: Option<Vec<u8>>,
    pub offset_rows: u64,
    pub offset_lsn: u64,
    /// Steps back.
    pub replays: u64,
    pub twice: u64,
    pub rows: u64,
    pub offsets: u64,
    pub confirmations: u64,
    /// The first thing that was wrong.
    pub wrong: Option<String>,
}

impl Account {
    pub fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.wrong.is_none() {
            self.wrong = Some(what());
        }
    }

    /// `exactly_once`: each row is the next one. Else a step back may come, from which it goes on row by row.
    fn row(&mut self, id: u64, exactly_once: bool) {
        self.rows += 1;
        let next = self.next;
        if id > next {
            self.tell(|| format!("lost: row {id} came, {next} should have"));
        } else if id < next {
            if exactly_once {
                self.tell(|| format!("twice: row {id} came, {next} should have"));
            }
            self.replays += 1;
        }
        self.twice += u64::from(id < self.reached);
        self.next = id + 1;
        self.reached = self.reached.max(self.next);
    }

    /// An offset is stored: `durable` rows would survive now.
    pub fn offset(&mut self, value: &[u8], durable: u64, server: &Server) {
        self.offsets += 1;
        let map: Props = serde_json::from_slice(value).unwrap_or_default();
        match place(&map, server) {
            Err(why) => self.tell(|| format!("an offset that is none: {why}: {}", String::from_utf8_lossy(value))),
            Ok((rows, lsn)) => {
                if rows > durable {
                    self.tell(|| format!("an offset ahead: it says {rows} rows, {durable} are durable"));
                }
                let before = self.offset_rows;
                if rows < before {
                    self.tell(|| format!("an offset went back: from {before} rows to {rows}"));
                }
                (self.offset_rows, self.offset_lsn) = (rows, lsn);
            }
        }
        self.offset = Some(value.to_vec());
    }

    /// The server was told that everything up to here is safe.
    pub fn confirmed(&mut self, lsn: u64, durable: u64, stored: u64, server: &Server) {
        self.confirmations += 1;
        let rows = server.rows_until(lsn);
        if rows > durable {
            self.tell(|| format!("confirmed {lsn}, which is {rows} rows, and {durable} are durable"));
        }
        if lsn > stored {
            self.tell(|| format!("confirmed {lsn}, stored {stored}"));
        }
    }
}

/// How many rows an offset says, read apart from what wrote it, and the position that it lets the server have.
fn place(map: &Props, server: &Server) -> Result<(u64, u64), String> {
    let offset = DebeziumOffset::parse(map);
    let commit = offset.lsn_commit.unwrap_or_default().0;
    let inside = match (offset.message_type.as_deref(), offset.xid, offset.lsn) {
        (Some("INSERT"), Some(xid), Some(lsn)) => Some((xid as u32, lsn.0, offset.events_at_lsn)),
        (Some("INSERT"), ..) => return Err("no place in its transaction".into()),
        _ => None,
    };
    Ok((server.rows_before(commit, inside)?, commit))
}

impl Log {
    pub fn new(kind: Kind) -> Log {
        Log {
            kind,
            epoch: 0,
            open: Written::default(),
            decided: None,
            unsynced: Vec::new(),
            last_ticket: HashMap::new(),
            account: Account::default(),
        }
    }

    /// Rows that no crash can take any more.
    pub fn durable(&self) -> u64 {
        self.account.reached + self.decided.as_ref().map_or(0, |decided| decided.rows.len() as u64)
    }

    /// The position of the newest offset that no crash can take any more.
    pub fn stored(&self, server: &Server) -> u64 {
        let decided = self.decided.as_ref().and_then(|decided| decided.offset.as_ref());
        let lsn =
            |value: &Vec<u8>| place(&serde_json::from_slice(value).unwrap_or_default(), server).map_or(0, |p| p.1);
        decided.map(lsn).unwrap_or(self.account.offset_lsn)
    }

    /// A producer is there: older ones are fenced, and what they left open is aborted.
    pub fn begin_producer(&mut self, epoch: u64, server: &Server) {
        self.show_decided(server);
        self.epoch = epoch;
        self.open = Written::default();
        // What was written is read, and so kept, by the next.
        self.sync(server);
    }

    /// Readers see it now.
    fn show(&mut self, written: Written, server: &Server) {
        let exactly_once = self.kind != Kind::AtLeastOnce;
        for id in written.rows {
            self.account.row(id, exactly_once);
        }
        if let Some(offset) = written.offset {
            let durable = self.account.reached;
            self.account.offset(&offset, durable, server);
        }
    }

    pub fn show_decided(&mut self, server: &Server) {
        if let Some(written) = self.decided.take() {
            self.show(written, server);
        }
    }

    /// The end of the open transaction.
    pub fn commit(&mut self, server: &Server) {
        self.show_decided(server);
        self.decided = Some(std::mem::take(&mut self.open));
    }

    /// A ticket of a producer without transactions; one that has come before is not written again.
    pub fn append(&mut self, producer: u64, ticket: u64, rows: Vec<u64>, server: &Server) {
        let last = self.last_ticket.entry(producer).or_default();
        if ticket > *last {
            *last = ticket;
            self.show(Written { rows, offset: None }, server);
        }
    }

    pub fn sync(&mut self, server: &Server) {
        for written in std::mem::take(&mut self.unsynced) {
            self.show(written, server);
        }
    }
}
