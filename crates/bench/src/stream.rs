//! A stream of `pgoutput` messages in memory: transactions of inserts into the benchmark's table, as a walsender of
//! protocol 1 sends them.

use walspring_record::{Lsn, Relation, ReplicaIdentity};

use crate::rows;

/// Each message with where its record begins in the log.
pub struct Stream {
    bytes: Vec<u8>,
    messages: Vec<(Lsn, usize, usize)>,
    pub rows: usize,
}

impl Stream {
    /// `rows` inserts, in transactions of `transaction_rows`.
    pub fn of_inserts(rows: usize, transaction_rows: usize) -> Stream {
        let mut stream = Stream { bytes: Vec::new(), messages: Vec::new(), rows };
        let mut lsn = 0x1_6B37_4D80;
        for i in 0..rows {
            if i % transaction_rows == 0 {
                let end = lsn + 300 * transaction_rows as u64;
                stream.push(lsn, |out| begin(out, end, 700 + (i / transaction_rows) as u32));
                if i == 0 {
                    stream.push(lsn, |out| relation(out, &rows::relation()));
                }
            }
            stream.push(lsn, |out| insert(out, &rows::texts(i as u64)));
            lsn += 300;
            if (i + 1) % transaction_rows == 0 || i + 1 == rows {
                stream.push(lsn, |out| commit(out, lsn));
                lsn += 48;
            }
        }
        stream
    }

    pub fn messages(&self) -> impl Iterator<Item = (Lsn, &[u8])> {
        self.messages.iter().map(|(lsn, start, end)| (*lsn, &self.bytes[*start..*end]))
    }

    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn push(&mut self, lsn: u64, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.messages.push((Lsn(lsn), start, self.bytes.len()));
    }
}

/// 2026-01-01, in microseconds since 2000.
const COMMIT_TIME: i64 = 820_540_800_000_000;

fn begin(out: &mut Vec<u8>, final_lsn: u64, xid: u32) {
    out.push(b'B');
    out.extend(final_lsn.to_be_bytes());
    out.extend(COMMIT_TIME.to_be_bytes());
    out.extend(xid.to_be_bytes());
}

fn commit(out: &mut Vec<u8>, lsn: u64) {
    out.extend([b'C', 0]);
    out.extend(lsn.to_be_bytes());
    out.extend((lsn + 48).to_be_bytes());
    out.extend(COMMIT_TIME.to_be_bytes());
}

fn relation(out: &mut Vec<u8>, relation: &Relation) {
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend(text.as_bytes());
        out.push(0);
    };
    out.push(b'R');
    out.extend(relation.oid.to_be_bytes());
    text(out, &relation.namespace);
    text(out, &relation.name);
    out.push(match relation.identity {
        ReplicaIdentity::Default => b'd',
        ReplicaIdentity::Nothing => b'n',
        ReplicaIdentity::Full => b'f',
        ReplicaIdentity::Index => b'i',
    });
    out.extend((relation.columns.len() as u16).to_be_bytes());
    for (i, column) in relation.columns.iter().enumerate() {
        out.push(u8::from(relation.key.contains(&i)));
        text(out, &column.name);
        out.extend(column.ty.oid.to_be_bytes());
        out.extend(column.modifier.to_be_bytes());
    }
}

fn insert(out: &mut Vec<u8>, texts: &[String]) {
    out.push(b'I');
    out.extend(rows::TABLE_OID.to_be_bytes());
    out.push(b'N');
    out.extend((texts.len() as u16).to_be_bytes());
    for text in texts {
        out.push(b't');
        out.extend((text.len() as u32).to_be_bytes());
        out.extend(text.as_bytes());
    }
}
