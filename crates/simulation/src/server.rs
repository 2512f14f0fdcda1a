//! PostgreSQL as a stream sees it: a log of interleaved transactions, and a slot.

use walspring_record::Lsn;

use crate::random::Random;

/// One row; rows of one statement share a place.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    pub lsn: u64,
    /// The how manieth, from 1, of its transaction at this place.
    pub nth: u64,
    /// Its number in the order in which everything has to come.
    pub id: u64,
}

#[derive(Debug, Clone)]
pub struct Transaction {
    pub xid: u32,
    /// In the order of the log.
    pub events: Vec<Event>,
    /// Where its commit ends.
    pub end: u64,
}

/// A frame of the stream: where it stands, and what it says.
#[derive(Debug)]
pub struct Frame {
    pub lsn: Lsn,
    pub payload: Vec<u8>,
}

#[derive(Debug)]
pub struct Server {
    /// In the order of their commits.
    transactions: Vec<Transaction>,
    /// How many have been committed by now.
    committed: usize,
    /// What the slot has been told.
    pub confirmed: u64,
    /// The connection that streams: an older one is dead.
    pub connection: u64,
}

impl Server {
    /// A load of so many transactions, most of them committed, by three sessions at once.
    pub fn new(random: &mut Random, transactions: u64) -> Server {
        let mut open: [Option<Transaction>; 3] = [None, None, None];
        let (mut end, mut begun, mut xid) = (1000, 0, 700);
        let mut done = Vec::new();
        while begun < transactions || open.iter().any(Option::is_some) {
            let session = &mut open[random.below(3) as usize];
            let place = end;
            // The next record begins where this one ends, also behind a commit.
            end += 8 * (1 + random.below(12));
            match session.as_mut() {
                None if begun == transactions => end = place,
                None => {
                    (begun, xid) = (begun + 1, xid + 1);
                    *session = Some(Transaction { xid, events: Vec::new(), end: 0 });
                    end = place;
                }
                Some(transaction) => match random.below(9) {
                    0 => *session = None,
                    1..=3 => {
                        transaction.end = end;
                        done.extend(session.take());
                    }
                    more => {
                        let rows = if more < 7 { 1 } else { 2 + random.below(4) };
                        transaction.events.extend((1..=rows).map(|nth| Event { lsn: place, nth, id: 0 }));
                    }
                },
            }
        }
        let events = done.iter_mut().flat_map(|transaction: &mut Transaction| &mut transaction.events);
        events.zip(0..).for_each(|(event, id)| event.id = id);
        Server { transactions: done, committed: 0, confirmed: 1000, connection: 0 }
    }

    /// How many rows have to come in all.
    pub fn rows(&self) -> u64 {
        self.transactions.iter().map(|transaction| transaction.events.len() as u64).sum()
    }

    pub fn commit(&mut self, transactions: usize) {
        self.committed = (self.committed + transactions).min(self.transactions.len());
    }

    pub fn is_done(&self) -> bool {
        self.committed == self.transactions.len()
    }

    /// Where the log ends by now.
    pub fn end(&self) -> u64 {
        self.committed.checked_sub(1).map_or(1000, |last| self.transactions[last].end)
    }

    /// The `n`th of what a stream is sent that begins at `start`: where it was asked to, and not before the slot's place.
    pub fn sent(&self, start: u64, n: usize) -> Option<&Transaction> {
        self.transactions[..self.committed].iter().filter(|transaction| transaction.end > start).nth(n)
    }

    /// The rows of all that was committed up to here.
    pub fn rows_until(&self, end: u64) -> u64 {
        let until = self.transactions.iter().filter(|transaction| transaction.end <= end);
        until.map(|transaction| transaction.events.len() as u64).sum()
    }

    /// The rows before and with the place that an offset's fields name; `Err`: there is no such place.
    pub fn rows_before(&self, commit: u64, inside: Option<(u32, u64, u64)>) -> Result<u64, String> {
        let whole = self.rows_until(commit);
        let Some((xid, lsn, nth)) = inside else { return Ok(whole) };
        let next =
            self.transactions.iter().find(|transaction| transaction.end > commit && !transaction.events.is_empty());
        let Some(transaction) = next.filter(|transaction| transaction.xid == xid) else {
            return Err(format!("transaction {xid} is not the one behind {commit}"));
        };
        let sent = |event: &&Event| event.lsn < lsn || (event.lsn == lsn && event.nth <= nth);
        if !transaction.events.iter().any(|event| (event.lsn, event.nth) == (lsn, nth)) {
            return Err(format!("transaction {xid} has no event {nth} at {lsn}"));
        }
        Ok(whole + transaction.events.iter().filter(sent).count() as u64)
    }
}

impl Transaction {
    /// How many frames it is: BEGIN, the table, its rows, COMMIT.
    pub fn frames(&self) -> usize {
        self.events.len() + 3
    }

    pub fn frame(&self, n: usize) -> Frame {
        let first = self.events.first().map_or(self.end, |event| event.lsn);
        let mut payload = Vec::with_capacity(40);
        let lsn = match n {
            0 => {
                payload.push(b'B');
                payload.extend(self.end.to_be_bytes());
                payload.extend(0i64.to_be_bytes());
                payload.extend(self.xid.to_be_bytes());
                first
            }
            1 => {
                payload.extend(b"R\0\0\0\x01public\0t\0d\0\x01\x01pk\0\0\0\0\x14\xff\xff\xff\xff");
                first
            }
            n if n - 2 < self.events.len() => {
                let event = self.events[n - 2];
                let text = event.id.to_string();
                payload.extend(b"I\0\0\0\x01N\0\x01t");
                payload.extend((text.len() as u32).to_be_bytes());
                payload.extend(text.bytes());
                event.lsn
            }
            _ => {
                payload.extend(b"C\0");
                payload.extend((self.end - 8).to_be_bytes());
                payload.extend(self.end.to_be_bytes());
                payload.extend(0i64.to_be_bytes());
                self.end - 8
            }
        };
        Frame { lsn: Lsn(lsn), payload }
    }
}
