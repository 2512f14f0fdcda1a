//! Which transactions a chunk may have missed although the stream has had them.
//!
//! A commit is in the log, and in the stream, before other sessions see it: for a moment always, and for as long as a
//! synchronous standby is away. A chunk that is read in between has old rows, and no window would hold them back, since the
//! transaction's changes came before it. So the stream remembers which transactions it has had, the chunk tells what its
//! snapshot saw, and a chunk that misses one of them is read again. What a snapshot saw is forgotten.

use std::collections::HashMap;

/// `pg_current_snapshot()`: what is visible at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visible {
    /// All from here on is not.
    xmax: u32,
    /// What is not, before that.
    in_progress: Vec<u32>,
}

impl Visible {
    /// `xmin:xmax:xip,xip`
    pub fn parse(text: &str) -> Option<Visible> {
        let mut parts = text.split(':');
        let (_, xmax, list) = (parts.next()?, parts.next()?, parts.next()?);
        // The stream tells the lower half of a transaction's id.
        let id = |text: &str| text.parse::<u64>().ok().map(|id| id as u32);
        let in_progress = list.split(',').filter(|id| !id.is_empty()).map(id).collect::<Option<_>>()?;
        Some(Visible { xmax: id(xmax)?, in_progress })
    }

    pub fn sees(&self, xid: u32) -> bool {
        (xid.wrapping_sub(self.xmax) as i32) < 0 && !self.in_progress.contains(&xid)
    }
}

/// More are asked about at once, so that those that are visible can be forgotten: half a MiB.
const KEPT_MAX: usize = 32 * 1024;

/// Transactions that the stream has had, and that no snapshot is known to have seen.
#[derive(Debug, Default)]
pub struct Streamed {
    /// With the number under which each came.
    seen: HashMap<u32, u64>,
    last: Option<u32>,
    count: u64,
    full_at: usize,
}

impl Streamed {
    #[inline]
    pub fn add(&mut self, xid: u32) {
        if self.last != Some(xid) {
            self.last = Some(xid);
            self.count += 1;
            self.seen.insert(xid, self.count);
        }
    }

    /// How many there have been: stands for now.
    pub fn now(&self) -> u64 {
        self.count
    }

    /// Time to ask the server what is visible.
    pub fn is_full(&self) -> bool {
        self.seen.len() > KEPT_MAX.max(self.full_at)
    }

    pub fn forget(&mut self, visible: &Visible) {
        self.seen.retain(|xid, _| !visible.sees(*xid));
        // Where very many wait, they are not asked about for each one that comes.
        self.full_at = self.seen.len() * 2;
        self.last = None;
    }

    /// One that had come by `moment` and is not visible.
    pub fn missed(&self, moment: u64, visible: &Visible) -> Option<u32> {
        self.seen.iter().find(|(xid, at)| **at <= moment && !visible.sees(**xid)).map(|(xid, _)| *xid)
    }

    pub fn all(&self) -> Vec<u32> {
        self.seen.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_does_not_see_what_runs_and_what_begins_later() {
        let visible = Visible::parse("725:730:725,727").unwrap();
        let seen: Vec<u32> = (720..735).filter(|xid| visible.sees(*xid)).collect();
        assert_eq!(seen, [720, 721, 722, 723, 724, 726, 728, 729]);
        assert_eq!(Visible::parse("1:2:"), Some(Visible { xmax: 2, in_progress: Vec::new() }));
        assert_eq!(Visible::parse("1:x:"), None);
        // Ids of the next epoch.
        let visible = Visible::parse("4294967290:4294967300:4294967298").unwrap();
        assert!(visible.sees(u32::MAX) && visible.sees(1) && !visible.sees(2) && !visible.sees(4));
    }

    #[test]
    fn what_is_missed_is_what_came_before_and_is_not_seen() {
        let mut streamed = Streamed::default();
        streamed.add(5);
        streamed.add(5);
        let opened = streamed.now();
        streamed.add(6);
        let visible = Visible::parse("5:8:5,6").unwrap();
        assert_eq!(streamed.missed(opened, &visible), Some(5));
        assert_eq!(streamed.missed(opened, &Visible::parse("6:8:6").unwrap()), None);
        streamed.forget(&Visible::parse("6:8:6").unwrap());
        assert_eq!(streamed.all(), [6]);
    }
}
