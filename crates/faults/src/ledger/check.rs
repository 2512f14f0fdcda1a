//! What came out, held against the account. Pure: lists in, a verdict out.
//!
//! A topic of one partition is a walk along the account's list for its table: each event is the next of the list, or a step
//! back from which the walk goes on event by event (a replay). Whatever else comes is a finding.
//!
//! Rows of a snapshot stand before the walk, or where one that went on after a restart was read: then each is as the table was
//! where the walk stood, neither older nor newer. When the last of them has come, rows and events have left what the table
//! was then.

use std::collections::{BTreeMap, HashMap};

use super::STILL;

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

/// One event as it was consumed. `op` is `r` for a row of a snapshot, `R` for the first of its table in an attempt at one; of
/// those that signals ask for `b` is a row of a blocking one, `i` of an incremental one.
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

fn is_asked_for(event: &Seen) -> bool {
    matches!(event.op, 'b' | 'i')
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

/// What is wrong with the rows that stay as they are, of snapshots that signals asked for: how often each has to come, and
/// that it may come more often, by the kind of its events.
pub fn check_still(seen: &[Seen], asked: &[(char, usize, bool)]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut came: HashMap<(char, i64), usize> = HashMap::new();
    seen.iter()
        .filter(|event| is_asked_for(event))
        .for_each(|event| *came.entry((event.op, event.pk)).or_default() += 1);
    for &(op, times, may_repeat) in asked {
        for pk in STILL {
            let came = came.get(&(op, pk)).copied().unwrap_or_default();
            if came < times {
                tell(&mut verdict.lost, || {
                    format!("key {pk} in snapshots {op}: {came} times, asked for {times} times")
                });
            } else if came > times && !may_repeat {
                tell(&mut verdict.disorder, || format!("key {pk} in snapshots {op}: {came} times, asked for {times}"));
            }
        }
    }
    verdict
}

/// `expected` in its order, `seen` in the order of the topic, `table` what is there now.
pub fn check_topic(expected: &[Expected], seen: &[Seen], table: &Rows) -> Verdict {
    let places: HashMap<(char, i64, i64), usize> =
        expected.iter().enumerate().map(|(at, e)| ((e.op, e.pk, e.seq), at)).collect();
    let place = |event: &Seen| places.get(&(event.op, event.pk, event.seq)).copied();
    let made = |event: &Seen| {
        let by = |op| places.get(&(op, event.pk, event.seq)).copied();
        by('u').or_else(|| by('c'))
    };
    let rows_end = seen.iter().rposition(is_read).map_or(0, |last| last + 1);
    let verdict = Verdict { events: seen.len(), ..Verdict::default() };
    let mut walk = Walk { expected, has_rows: rows_end > 0, next: None, reached: 0, verdict };
    let mut at = 0;
    while at < seen.len() {
        if is_asked_for(&seen[at]) {
            let rows = seen[at..].iter().take_while(|event| is_asked_for(event)).count();
            walk.asked_for(&seen[at..at + rows], made);
            at += rows;
            continue;
        }
        if !is_read(&seen[at]) {
            walk.event(&seen[at], place(&seen[at]));
            at += 1;
            continue;
        }
        let rows = seen[at..].iter().take_while(|event| is_read(event)).count();
        let (block, rest) = seen[at..].split_at(rows);
        at += rows;
        let follows = rest.iter().filter(|event| !is_read(event)).find_map(place).unwrap_or(expected.len());
        walk.rows(block, follows);
        if at == rows_end {
            walk.snapshot_ends(&fold(seen[..at].iter()));
        }
    }
    let mut verdict = walk.end();
    // Of attempts that were given up rows may be left that are gone, where the slot was made after them.
    let mut folded = fold(seen[..rows_end].iter());
    folded.retain(|pk, _| table.contains_key(pk));
    for event in &seen[rows_end..] {
        apply(event, &mut folded);
    }
    for (pk, row) in table.iter().filter(|(pk, row)| folded.get(*pk) != Some(*row)) {
        tell(&mut verdict.different, || format!("key {pk}: the table has {row:?}, the stream {:?}", folded.get(pk)));
    }
    for (pk, row) in folded.iter().filter(|(pk, _)| !table.contains_key(*pk)) {
        tell(&mut verdict.different, || format!("key {pk}: not in the table, the stream has {row:?}"));
    }
    verdict
}

/// Along the list.
struct Walk<'a> {
    expected: &'a [Expected],
    /// A snapshot is in the topic.
    has_rows: bool,
    /// Where it stands; `None`: no event has come.
    next: Option<usize>,
    reached: usize,
    verdict: Verdict,
}

impl Walk<'_> {
    fn event(&mut self, event: &Seen, place: Option<usize>) {
        let Walk { expected, verdict, .. } = self;
        let Some(at) = place else {
            tell(&mut verdict.foreign, || format!("{event:?}"));
            return;
        };
        if expected[at].sum != event.sum || (event.xid != 0 && expected[at].xid != event.xid) {
            tell(&mut verdict.foreign, || format!("{event:?} was committed as {:?}", expected[at]));
        }
        // What comes before rows that are still to come begins where the slot stood.
        let next = self.next.unwrap_or(if self.has_rows { at } else { 0 });
        if at > next {
            let gap = &expected[next..at];
            let lost = at > self.reached;
            let list = if lost { &mut verdict.lost } else { &mut verdict.disorder };
            tell(list, || format!("{} before {event:?}, the first {:?}", gap.len(), gap[0]));
        } else if at < next {
            verdict.replays += 1;
        }
        if at < self.reached {
            verdict.twice += 1;
        }
        self.next = Some(at + 1);
        self.reached = self.reached.max(at + 1);
    }

    /// Rows of snapshots that signals asked for. Incremental ones are what the table was at this place of the stream, those of
    /// blocking ones may be newer. `made`: where a row became what it is.
    fn asked_for(&mut self, block: &[Seen], made: impl Fn(&Seen) -> Option<usize>) {
        let Some(next) = self.next else { return };
        let then = table_at(&self.expected[..next]);
        for row in block {
            let is = then.get(&row.pk);
            let is_now = is == Some(&(row.seq, row.sum.clone()));
            let is_newer = row.op == 'b' && made(row).is_some_and(|at| at >= next && self.expected[at].sum == row.sum);
            if !is_now && !is_newer {
                tell(&mut self.verdict.disorder, || format!("{row:?} was asked for, where the table has {is:?}"));
            }
        }
    }

    /// Rows without an event between them. `follows`: the place of the next event. The walk goes on there, if these are what
    /// the table was then: the first rows, or a snapshot that was begun again.
    fn rows(&mut self, block: &[Seen], follows: usize) {
        // What attempts before the last have read may be older: they may have been given up.
        let last = block.iter().rposition(|event| event.op == 'R').unwrap_or(0);
        let is_whole = |at: usize| {
            let rows = fold(block[last..].iter());
            table_at(&self.expected[..at]).iter().all(|(pk, row)| rows.get(pk) == Some(row))
        };
        let at = match self.next {
            None => follows,
            Some(next) if follows > next && is_whole(follows) => follows,
            Some(next) => next,
        };
        let then = table_at(&self.expected[..at]);
        for row in block[last..].iter().filter(|row| then.get(&row.pk) != Some(&(row.seq, row.sum.clone()))) {
            let is = then.get(&row.pk);
            tell(&mut self.verdict.disorder, || format!("{row:?} in the snapshot, where the table has {is:?}"));
        }
        self.next = Some(at);
        self.reached = self.reached.max(at);
    }

    /// `got`: what all rows and events have left.
    fn snapshot_ends(&mut self, got: &Rows) {
        let then = table_at(&self.expected[..self.next.unwrap_or(0)]);
        for (pk, row) in then.iter().filter(|(pk, row)| got.get(*pk) != Some(*row)) {
            tell(&mut self.verdict.lost, || format!("key {pk} in the snapshot: {row:?}, not {:?}", got.get(pk)));
        }
    }

    fn end(mut self) -> Verdict {
        let next = self.next.unwrap_or(0);
        if next < self.expected.len() {
            let lost = self.reached < self.expected.len();
            let list = if lost { &mut self.verdict.lost } else { &mut self.verdict.disorder };
            tell(list, || format!("{} at the end, the first {:?}", self.expected.len() - next, self.expected[next]));
        }
        self.verdict
    }
}

/// What changes leave.
fn table_at(changes: &[Expected]) -> Rows {
    let mut rows = BTreeMap::new();
    for entry in changes {
        if entry.op == 'd' {
            rows.remove(&entry.pk);
        } else {
            rows.insert(entry.pk, (entry.seq, entry.sum.clone()));
        }
    }
    rows
}

/// What events leave when they are applied in their order.
pub fn fold<'a>(events: impl Iterator<Item = &'a Seen>) -> Rows {
    let mut rows = BTreeMap::new();
    events.for_each(|event| apply(event, &mut rows));
    rows
}

fn apply(event: &Seen, rows: &mut Rows) {
    if event.op == 'd' {
        rows.remove(&event.pk);
    } else {
        rows.insert(event.pk, (event.seq, event.sum.clone()));
    }
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
    fn rows_that_signals_ask_for_are_the_table_at_their_place_or_newer_if_the_stream_stands_still() {
        let (list, stream, table) = five();
        let row = |op, pk: i64, seq: i64| Seen { op, pk, seq, sum: format!("{pk}-{seq}"), xid: 0 };
        let with = |rows: &[Seen]| check_topic(&list, &[&stream[..2], rows, &stream[2..]].concat(), &table);
        assert!(with(&[row('i', 1, 1), row('i', 2, 1)]).is_good(0), "{:?}", with(&[row('i', 1, 1)]));
        assert!(!with(&[row('i', 1, 2)]).is_good(0), "the stream has not come there");
        assert!(with(&[row('b', 1, 2), row('b', 2, 1), row('b', 3, 1)]).is_good(0), "{:?}", with(&[row('b', 1, 2)]));
        let older = [&stream[..], &[row('b', 1, 1)]].concat();
        assert!(!check_topic(&list, &older, &table).is_good(0));
        assert!(!with(&[Seen { sum: "?".into(), ..row('b', 3, 1) }]).is_good(0));
        let still: Vec<Seen> = STILL.map(|pk| row('i', pk, 1)).collect();
        assert_eq!(check_still(&still, &[('i', 1, false), ('b', 0, true)]), Verdict::default());
        assert!(!check_still(&still[1..], &[('i', 1, false)]).lost.is_empty());
        let again = [&still[..], &still[5..6]].concat();
        assert!(!check_still(&again, &[('i', 1, false)]).is_good(0));
        assert!(check_still(&again, &[('i', 1, true)]).is_good(0));
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
        assert!(
            !check_topic(&list, &again_after_events, &table).disorder.is_empty(),
            "rows of before an event behind it"
        );
        // One was complete, and begins again where nobody knew.
        let anew = [vec![first(1, 1), read(2, 1)], stream[2..3].to_vec(), vec![first(1, 2), read(3, 1)]].concat();
        assert!(check_topic(&list, &anew, &table).is_good(0), "{:?}", check_topic(&list, &anew, &table));
        // The rest is read where the stream has come to: behind the change of 1, before 2 is gone, or when all is over.
        let went_on = [vec![first(1, 1)], stream[2..3].to_vec(), vec![first(2, 1)], stream[3..].to_vec()].concat();
        assert!(check_topic(&list, &went_on, &table).is_good(0), "{:?}", check_topic(&list, &went_on, &table));
        let at_the_end = [vec![first(1, 1)], stream[2..].to_vec(), vec![first(3, 1)]].concat();
        assert!(check_topic(&list, &at_the_end, &table).is_good(0));
        let twice = [went_on.clone(), stream[2..3].to_vec(), vec![first(2, 1)], stream[3..].to_vec()].concat();
        let verdict = check_topic(&list, &twice, &table);
        assert!(verdict.is_good(1) && !verdict.is_good(0), "{verdict:?}");
        let not_begun = [stream[2..3].to_vec(), vec![first(1, 2), read(2, 1)], stream[3..].to_vec()].concat();
        assert!(check_topic(&list, &not_begun, &table).is_good(0), "{:?}", check_topic(&list, &not_begun, &table));
        let newer = [vec![first(2, 1), first(1, 2)], stream[2..].to_vec()].concat();
        assert!(!check_topic(&list, &newer, &table).is_good(0), "a row that is newer than the stream");
        let rest_lost = [vec![first(1, 1)], stream[2..].to_vec()].concat();
        assert!(!check_topic(&list, &rest_lost, &table).is_good(0), "2 was there");
        let event_lost = [vec![first(1, 1)], vec![first(2, 1)], stream[3..].to_vec()].concat();
        assert!(!check_topic(&list, &event_lost, &table).is_good(0));
        let row_lost = [vec![read(2, 1)], stream[2..].to_vec()].concat();
        assert!(!check_topic(&list, &row_lost, &table).is_good(0));
        let gap = [vec![read(1, 1), read(2, 1)], stream[3..].to_vec()].concat();
        assert!(!check_topic(&list, &gap, &table).is_good(0));
    }
}
