//! What came out, held against the account. Pure: lists in, a verdict out.
//!
//! A topic of one partition is a walk along the account's list for its table: each event is the next of the list, or a step
//! back from which the walk goes on event by event (a replay). Whatever else comes is a finding.

use std::collections::{BTreeMap, HashMap};

/// One change of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// `c`, `u` or `d`, as the envelope says it.
    pub op: char,
    pub pk: i64,
    /// -1 where the event does not say: a delete under the identity of the key.
    pub seq: i64,
    /// Of the row's contents; of what `seq` is -1 for it is empty.
    pub sum: String,
    pub xid: i64,
}

/// One event as it was consumed. `op` is `r` for a row of a snapshot, `R` for the first of its table in an attempt at one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub op: char,
    pub pk: i64,
    pub seq: i64,
    pub sum: String,
    pub xid: i64,
}

/// Lists of changes in the order in which they have to come.
#[derive(Debug, Default)]
pub struct Account {
    pub tables: BTreeMap<String, Vec<Expected>>,
    pub transactions: usize,
}

impl Account {
    /// `commits`: the transactions in the order of their commits; `entries`: changes in the order of their statements.
    pub fn new(commits: &[i64], entries: Vec<(String, Expected)>) -> Account {
        let place: HashMap<i64, usize> = commits.iter().copied().zip(0..).collect();
        let mut tables: BTreeMap<String, Vec<Expected>> = BTreeMap::new();
        for (table, entry) in entries {
            tables.entry(table).or_default().push(entry);
        }
        for list in tables.values_mut() {
            // Stable: statements of one transaction stay in their order.
            list.sort_by_key(|entry| place.get(&entry.xid).copied().unwrap_or(usize::MAX));
        }
        Account { tables, transactions: commits.len() }
    }
}

/// What is wrong with a topic; empty lists and zeros: nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub events: usize,
    /// Committed and never seen (I1).
    pub lost: Vec<String>,
    /// Came again, in a replay that went on to where it had been (I3); allowed at least once.
    pub twice: usize,
    /// Steps back: how many replays there were.
    pub replays: usize,
    /// Out of its order, or a replay with a gap (I2, I3).
    pub disorder: Vec<String>,
    /// Never committed, or not as it was committed (I4).
    pub foreign: Vec<String>,
    /// What is left when all events are applied is not the table (I5).
    pub different: Vec<String>,
}

impl Verdict {
    /// Whether nothing is lost, out of order, foreign or different; `replays_max`: zero for exactly once.
    pub fn is_good(&self, replays_max: usize) -> bool {
        self.lost.is_empty()
            && self.disorder.is_empty()
            && self.foreign.is_empty()
            && self.different.is_empty()
            && self.replays <= replays_max
    }

    pub fn add(&mut self, other: Verdict) {
        self.events += other.events;
        self.twice += other.twice;
        self.replays += other.replays;
        self.lost.extend(other.lost);
        self.disorder.extend(other.disorder);
        self.foreign.extend(other.foreign);
        self.different.extend(other.different);
    }
}

/// Findings of one kind that are told.
const TOLD_MAX: usize = 8;

fn is_read(event: &Seen) -> bool {
    event.op.eq_ignore_ascii_case(&'r')
}

fn tell(list: &mut Vec<String>, what: impl FnOnce() -> String) {
    if list.len() < TOLD_MAX {
        list.push(what());
    } else {
        list[TOLD_MAX - 1] = "and more".into();
    }
}

/// A table at the end of a walk: key to version and sum.
pub type Rows = BTreeMap<i64, (i64, String)>;

/// `expected` in its order, `seen` in the order of the topic, `table` what is there now.
pub fn check_topic(expected: &[Expected], seen: &[Seen], table: &Rows) -> Verdict {
    let mut verdict = Verdict { events: seen.len(), ..Verdict::default() };
    let snapshot = seen.iter().rposition(is_read).map_or(0, |last| last + 1);
    let (snapshot, stream) = seen.split_at(snapshot);
    // What an attempt that was given up has read may be older than the slot. Where it was complete and nobody knew, events
    // of the stream have followed it: the next attempt is a replay of everything.
    let (given_up, snapshot) = snapshot.split_at(snapshot.iter().rposition(|event| event.op == 'R').unwrap_or(0));
    if let Some(event) = snapshot.iter().find(|event| !is_read(event)) {
        tell(&mut verdict.disorder, || format!("an event of the stream before the snapshot's end: {event:?}"));
    }
    let places: HashMap<(char, i64, i64), usize> =
        expected.iter().enumerate().map(|(at, e)| ((e.op, e.pk, e.seq), at)).collect();
    // The stream begins where the snapshot ends: what comes first says where that is.
    let begin = match stream.first().and_then(|e| places.get(&(e.op, e.pk, e.seq))) {
        _ if snapshot.is_empty() => 0,
        Some(first) => *first,
        None => expected.len(),
    };
    for event in given_up.iter().filter(|event| !is_read(event)) {
        verdict.twice += 1;
        verdict.replays = 1;
        if !places.contains_key(&(event.op, event.pk, event.seq)) {
            tell(&mut verdict.foreign, || format!("{event:?}"));
        }
    }
    // One that went on has its rows of before from the attempts before.
    let rows_before: Vec<&Seen> = given_up.iter().filter(|event| is_read(event)).collect();
    let got = fold(rows_before.iter().copied().chain(snapshot));
    check_snapshot(expected.split_at(begin), &got, &mut verdict);
    let (mut next, mut reached) = (begin, begin);
    for event in stream {
        let Some(&at) = places.get(&(event.op, event.pk, event.seq)) else {
            tell(&mut verdict.foreign, || format!("{event:?}"));
            continue;
        };
        if expected[at].sum != event.sum || (event.xid != 0 && expected[at].xid != event.xid) {
            tell(&mut verdict.foreign, || format!("{event:?} was committed as {:?}", expected[at]));
        }
        if at > next {
            let gap = &expected[next..at];
            let lost = at > reached;
            let list = if lost { &mut verdict.lost } else { &mut verdict.disorder };
            tell(list, || format!("{} before {event:?}, the first {:?}", gap.len(), gap[0]));
        } else if at < next {
            verdict.replays += 1;
        }
        if at < reached {
            verdict.twice += 1;
        }
        next = at + 1;
        reached = reached.max(next);
    }
    if next < expected.len() {
        let list = if reached < expected.len() { &mut verdict.lost } else { &mut verdict.disorder };
        tell(list, || format!("{} at the end, the first {:?}", expected.len() - next, expected[next]));
    }
    // Of attempts that were given up rows may be left that are gone, where the slot was made after them.
    let is_there = |event: &&Seen| table.contains_key(&event.pk);
    let folded = fold(rows_before.into_iter().filter(is_there).chain(snapshot).chain(stream));
    for (pk, row) in table.iter().filter(|(pk, row)| folded.get(*pk) != Some(*row)) {
        tell(&mut verdict.different, || format!("key {pk}: the table has {row:?}, the stream {:?}", folded.get(pk)));
    }
    for (pk, row) in folded.iter().filter(|(pk, _)| !table.contains_key(*pk)) {
        tell(&mut verdict.different, || format!("key {pk}: not in the table, the stream has {row:?}"));
    }
    verdict
}

/// The rows of a snapshot, `got`, are the table as the changes before the stream's first leave it, or newer where the stream
/// brings what happened between: one that went on after a restart has read its rest at a later moment.
fn check_snapshot((before, after): (&[Expected], &[Expected]), got: &Rows, verdict: &mut Verdict) {
    if got.is_empty() {
        return;
    }
    let mut want: Rows = BTreeMap::new();
    for entry in before {
        if entry.op == 'd' {
            want.remove(&entry.pk);
        } else {
            want.insert(entry.pk, (entry.seq, entry.sum.clone()));
        }
    }
    let mut later: HashMap<i64, Vec<&Expected>> = HashMap::new();
    for entry in after {
        later.entry(entry.pk).or_default().push(entry);
    }
    for (pk, row) in want.iter().filter(|(pk, row)| got.get(*pk) != Some(*row)) {
        let is = |version: &(i64, String)| {
            later.get(pk).is_some_and(|l| l.iter().any(|e| (e.seq, &e.sum) == (version.0, &version.1)))
        };
        let is_newer = match got.get(pk) {
            Some(version) => is(version),
            None => later.get(pk).is_some_and(|later| later.iter().any(|entry| entry.op == 'd')),
        };
        if !is_newer {
            tell(&mut verdict.lost, || format!("key {pk} in the snapshot: {row:?}, not {:?}", got.get(pk)));
        }
    }
}

/// What events leave when they are applied in their order.
pub fn fold<'a>(events: impl Iterator<Item = &'a Seen>) -> Rows {
    let mut rows = BTreeMap::new();
    for event in events {
        if event.op == 'd' {
            rows.remove(&event.pk);
        } else {
            rows.insert(event.pk, (event.seq, event.sum.clone()));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(op: char, pk: i64, seq: i64, xid: i64) -> Expected {
        Expected { op, pk, seq, sum: format!("{pk}-{seq}"), xid }
    }

    fn seen(e: &Expected) -> Seen {
        Seen { op: e.op, pk: e.pk, seq: e.seq, sum: e.sum.clone(), xid: e.xid }
    }

    fn five() -> (Vec<Expected>, Vec<Seen>, Rows) {
        let list = vec![
            entry('c', 1, 1, 10),
            entry('c', 2, 1, 10),
            entry('u', 1, 2, 11),
            entry('d', 2, -1, 12),
            entry('c', 3, 1, 12),
        ];
        let stream: Vec<Seen> = list.iter().map(seen).collect();
        let table = fold(stream.iter());
        (list, stream, table)
    }

    #[test]
    fn what_came_as_it_was_committed_is_good() {
        let (list, stream, table) = five();
        let verdict = check_topic(&list, &stream, &table);
        assert!(verdict.is_good(0), "{verdict:?}");
        assert_eq!(verdict.events, 5);
    }

    #[test]
    fn a_replay_is_no_loss_but_counts() {
        let (list, stream, table) = five();
        let again = [&stream[..4], &stream[1..]].concat();
        let verdict = check_topic(&list, &again, &table);
        assert!(verdict.is_good(1) && !verdict.is_good(0), "{verdict:?}");
        assert_eq!((verdict.twice, verdict.replays), (3, 1));
    }

    #[test]
    fn each_kind_of_wrong_is_found() {
        let (list, stream, table) = five();
        let mut without = stream.clone();
        without.remove(1);
        assert!(!check_topic(&list, &without, &table).lost.is_empty());
        let without_end = &stream[..4];
        assert!(!check_topic(&list, without_end, &table).lost.is_empty());
        let mut swapped = stream.clone();
        swapped.swap(0, 1);
        assert!(!check_topic(&list, &swapped, &table).is_good(0));
        assert!(!check_topic(&list, &swapped, &table).is_good(9));
        let mut foreign = stream.clone();
        foreign.push(Seen { op: 'c', pk: 9, seq: 1, sum: String::new(), xid: 1 });
        assert!(!check_topic(&list, &foreign, &table).foreign.is_empty());
        let mut spoilt = stream.clone();
        spoilt[2].sum = "?".into();
        assert!(!check_topic(&list, &spoilt, &table).foreign.is_empty());
        let gap_in_replay = [&stream[..], &stream[1..2], &stream[3..]].concat();
        assert!(!check_topic(&list, &gap_in_replay, &table).disorder.is_empty());
    }

    #[test]
    fn the_snapshot_is_the_table_where_the_stream_begins() {
        let (list, stream, table) = five();
        let read = |pk: i64, seq: i64| Seen { op: 'r', pk, seq, sum: format!("{pk}-{seq}"), xid: 0 };
        let good = [vec![read(1, 1), read(2, 1)], stream[2..].to_vec()].concat();
        assert!(check_topic(&list, &good, &table).is_good(0));
        let first = |pk: i64, seq: i64| Seen { op: 'R', ..read(pk, seq) };
        let begun_again = [vec![first(8, 1), first(1, 1), read(2, 1)], stream[2..].to_vec()].concat();
        assert!(check_topic(&list, &begun_again, &table).is_good(0));
        let again_after_events = [vec![first(1, 1), read(2, 1)], stream[2..3].to_vec(), begun_again.clone()].concat();
        let verdict = check_topic(&list, &again_after_events, &table);
        assert!(verdict.is_good(1) && !verdict.is_good(0), "{verdict:?}");
        // What was left is read at a later moment: at the end, at which 2 is gone.
        let last = table.iter().next().map(|(pk, row)| read(*pk, row.0)).expect("a row");
        let went_on = [vec![first(2, 1), Seen { op: 'R', ..last }], stream[2..].to_vec()].concat();
        assert!(check_topic(&list, &went_on, &table).is_good(0), "{:?}", check_topic(&list, &went_on, &table));
        let row_lost = [vec![read(2, 1)], stream[2..].to_vec()].concat();
        assert!(!check_topic(&list, &row_lost, &table).is_good(0));
        let gap = [vec![read(1, 1), read(2, 1)], stream[3..].to_vec()].concat();
        assert!(!check_topic(&list, &gap, &table).is_good(0));
    }
}
