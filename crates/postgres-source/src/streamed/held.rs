//! One transaction in progress: its messages in the order in which they came, in memory and behind that in a file.
//!
//! A place is a number of bytes from the beginning of the transaction, whether they are in the file or still in memory.
//!
//! A subtransaction that is rolled back is always the *end* of what has come: a session does one thing at a time, so from
//! the first change of a subtransaction to its rollback there are only its own and its descendants' changes. Its rollback
//! therefore cuts the transaction off at that place; nothing is searched, and what is gone takes no room.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use walspring_pgoutput::Piece;

/// Behind the length: where the change stands in the log, or of a relation when it came (see `ChangeReader`).
pub const HEADER: usize = 4 + 8;

#[derive(Debug, Default)]
pub struct Held {
    pub file: Option<File>,
    /// Bytes in the file.
    pub flushed: u64,
    /// What follows them.
    pub tail: Vec<u8>,
    /// Subtransactions that something is held of, by their ids: these grow as subtransactions begin.
    subs: Vec<Sub>,
    /// The last piece's subtransaction.
    last_sub: Option<u32>,
    last_is_message: bool,
    /// It cannot be told any more what is left of it: nothing is held.
    pub unsure: bool,
}

#[derive(Debug, Clone, Copy)]
struct Sub {
    /// Its id's distance from the transaction's: ids go round.
    id: u32,
    /// What comes before its first piece is a logical message, which may be its own: those carry the whole's id.
    after_message: bool,
    first: u64,
}

/// A subtransaction's rollback, as far as the stream tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    Done,
    /// A logical message may belong to it or not.
    Unsure,
}

impl Held {
    pub fn unsure() -> Held {
        Held { unsure: true, ..Held::default() }
    }

    pub fn end(&self) -> u64 {
        self.flushed + self.tail.len() as u64
    }

    pub fn subs(&self) -> usize {
        self.subs.len()
    }

    /// `top`: the transaction's id. `mark`: for the header.
    #[inline]
    pub fn push(&mut self, top: u32, mark: u64, piece: &Piece<'_>) {
        let sub = piece.xid.filter(|xid| *xid != top).map(|xid| xid.wrapping_sub(top));
        if sub != self.last_sub {
            if let Some(id) = sub {
                self.begins(id);
            }
            self.last_sub = sub;
        }
        self.last_is_message = piece.tag == b'M';
        let len = 1 + piece.rest.len();
        self.tail.extend_from_slice(&(len as u32).to_le_bytes());
        self.tail.extend_from_slice(&mark.to_le_bytes());
        self.tail.push(piece.tag);
        self.tail.extend_from_slice(piece.rest);
    }

    fn begins(&mut self, id: u32) {
        let at = match self.subs.last() {
            Some(last) if last.id < id => self.subs.len(),
            _ => match self.subs.binary_search_by_key(&id, |sub| sub.id) {
                Ok(_) => return,
                // A parent has its id before its children, and may write after them.
                Err(at) => at,
            },
        };
        self.subs.insert(at, Sub { id, first: self.end(), after_message: self.last_is_message });
    }

    /// Rolls a subtransaction back. Every later one is its descendant, or with it the descendant of what is rolled back: its
    /// own rollback is announced beside this one.
    pub fn cut(&mut self, top: u32, subxid: u32) -> io::Result<Cut> {
        let id = subxid.wrapping_sub(top);
        let from = self.subs.partition_point(|sub| sub.id < id);
        let Some(first) = self.subs[from..].iter().min_by_key(|sub| sub.first).copied() else {
            // Nothing came under its id. A message at the very end may all the same be its own.
            return Ok(if self.last_is_message { Cut::Unsure } else { Cut::Done });
        };
        if first.after_message {
            return Ok(Cut::Unsure);
        }
        self.subs.truncate(from);
        self.last_sub = None;
        self.last_is_message = false;
        match first.first.checked_sub(self.flushed) {
            Some(in_tail) => self.tail.truncate(in_tail as usize),
            None => {
                if let Some(file) = &self.file {
                    file.set_len(first.first)?;
                }
                self.flushed = first.first;
                self.tail.clear();
            }
        }
        Ok(Cut::Done)
    }

    /// Writes what is in memory behind what is in the file.
    pub fn flush(&mut self, make: impl FnOnce() -> io::Result<File>) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(make()?),
        };
        file.write_all_at(&self.tail, self.flushed)?;
        self.flushed += self.tail.len() as u64;
        self.tail = Vec::new();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOP: u32 = u32::MAX - 1;

    /// Texts of the pieces that are left.
    fn left(held: &Held) -> String {
        let mut all = vec![0; held.flushed as usize];
        if let Some(file) = &held.file {
            file.read_exact_at(&mut all, 0).unwrap();
        }
        all.extend_from_slice(&held.tail);
        let mut text = String::new();
        let mut at = 0;
        while at < all.len() {
            let len = u32::from_le_bytes(all[at..at + 4].try_into().unwrap()) as usize;
            text.push_str(std::str::from_utf8(&all[at + HEADER + 1..at + HEADER + len]).unwrap());
            at += HEADER + len;
        }
        text
    }

    fn push(held: &mut Held, sub: u32, tag: u8, text: &str) {
        let xid = Some(TOP.wrapping_add(sub));
        held.push(TOP, 0, &Piece { tag, xid, rest: text.as_bytes() });
    }

    fn cut(held: &mut Held, sub: u32) -> Cut {
        held.cut(TOP, TOP.wrapping_add(sub)).unwrap()
    }

    #[test]
    fn a_rollback_takes_a_subtransaction_and_its_descendants() {
        for flush_at in 0..8 {
            let mut held = Held::default();
            for (n, (sub, text)) in
                [(0, "a"), (1, "b"), (3, "c"), (2, "d"), (3, "e"), (2, "f"), (4, "g")].into_iter().enumerate()
            {
                if n == flush_at {
                    held.flush(tempfile::tempfile).unwrap();
                }
                push(&mut held, sub, b'I', text);
            }
            assert_eq!(held.subs(), 4);
            assert_eq!(cut(&mut held, 4), Cut::Done);
            assert_eq!(left(&held), "abcdef");
            // Rolled back with its child, whose first change came before its own.
            assert_eq!(cut(&mut held, 2), Cut::Done);
            assert_eq!(cut(&mut held, 3), Cut::Done);
            assert_eq!(left(&held), "ab");
            push(&mut held, 5, b'U', "h");
            push(&mut held, 0, b'U', "i");
            assert_eq!(left(&held), "abhi");
            assert_eq!(cut(&mut held, 6), Cut::Done);
            assert_eq!(left(&held), "abhi");
        }
    }

    #[test]
    fn a_message_that_may_be_rolled_back_makes_it_unsure() {
        let mut held = Held::default();
        push(&mut held, 0, b'M', "m");
        // The message is that of a subtransaction with nothing else, or not.
        assert_eq!(cut(&mut held, 1), Cut::Unsure);
        push(&mut held, 2, b'I', "a");
        assert_eq!(cut(&mut held, 3), Cut::Done);
        assert_eq!(cut(&mut held, 2), Cut::Unsure);
        push(&mut held, 0, b'I', "b");
        push(&mut held, 4, b'I', "c");
        push(&mut held, 0, b'M', "n");
        push(&mut held, 4, b'I', "d");
        assert_eq!(cut(&mut held, 4), Cut::Done);
        assert_eq!(left(&held), "mab");
    }

    #[test]
    fn a_million_of_them_half_rolled_back_take_no_time() {
        let mut held = Held::default();
        for sub in 1..=1_000_000u32 {
            push(&mut held, sub, b'I', "x");
            if sub % 2 == 0 {
                cut(&mut held, sub);
            }
        }
        assert_eq!(held.subs(), 500_000);
        assert_eq!(held.end(), 500_000 * (HEADER as u64 + 2));
        for sub in (1..=1_000_000u32).step_by(2) {
            cut(&mut held, sub);
        }
        assert_eq!(held.end(), 0);
    }
}
