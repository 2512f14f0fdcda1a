//! Writers: short transactions of every kind that has cost somebody data, each noting what it does.
//!
//! Single rows, statements of many rows, COPY (whose rows share a place in the log), logical messages of both kinds,
//! savepoints kept and rolled back, keys that change, deletes, rolled-back transactions; several sessions at once, so that
//! their places in the log interleave.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use walspring_testkit::client::{Client, NoTls};

use crate::random::Random;
use crate::stream::sum_of;

#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    pub seed: u64,
    pub writers: u64,
    /// Between two transactions of a writer.
    pub pause: Duration,
    /// One of so many transactions has thousands of rows; zero: none.
    pub huge_every: u64,
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions { seed: 1, writers: 3, pause: Duration::from_millis(25), huge_every: 400 }
    }
}

/// Running writers; dropped, they end.
pub struct Load {
    on: Arc<AtomicBool>,
    committed: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(url: &str, options: LoadOptions) -> Load {
        let (on, committed) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
        let threads = (0..options.writers)
            .map(|writer| {
                let (url, on, committed) = (url.to_owned(), on.clone(), committed.clone());
                std::thread::spawn(move || write(&url, &on, &committed, options, writer))
            })
            .collect();
        Load { on, committed, threads }
    }

    /// So many transactions of this seed, by one thread: three sessions whose statements alternate.
    pub fn interleaved(url: &str, seed: u64, transactions: u64) {
        let mut random = Random::new(seed);
        let mut sessions: Vec<Session> =
            (0..3).map(|n| Session::new(Client::connect(url, NoTls).expect("a session"), n, false)).collect();
        let mut begun = 0;
        while begun < transactions || sessions.iter().any(|session| session.open) {
            let session = &mut sessions[random.below(3) as usize];
            if !session.open {
                if begun < transactions {
                    begun += 1;
                    session.begin().expect("begin");
                }
            } else if random.below(5) == 0 {
                session.end(random.below(8) == 0).expect("the end of a transaction");
            } else {
                session.step(&mut random).expect("a step");
            }
        }
    }

    /// Pairs of transactions that cross: one has rows before and behind the other's in the log, and commits after it; the
    /// other is COPY, whose rows share their place, and rows of another table.
    pub fn crossed(url: &str, seed: u64, pairs: u64) {
        let mut random = Random::new(seed);
        let session = |n| Session::new(Client::connect(url, NoTls).expect("a session"), n, false);
        let (mut outer, mut inner) = (session(0), session(1));
        let mut pair = || -> Result<()> {
            outer.begin()?;
            outer.insert(0, 2)?;
            outer.message(true)?;
            inner.begin()?;
            inner.copy(24, &mut random)?;
            inner.message(false)?;
            inner.insert(1, 3)?;
            inner.end(false)?;
            outer.insert(0, 1)?;
            outer.end(false).map(|_| ())
        };
        (0..pairs).for_each(|_| pair().expect("two transactions"));
    }

    /// One transaction of so many rows of one table, with a delete in its midst.
    pub fn large(url: &str, rows: u64) {
        let mut session = Session::new(Client::connect(url, NoTls).expect("a session"), 0, false);
        let mut transactions = || -> Result<()> {
            session.begin()?;
            session.insert(0, 2)?;
            session.end(false)?;
            session.begin()?;
            session.insert(0, rows / 2)?;
            session.delete(0)?;
            session.insert(0, rows - rows / 2)?;
            session.end(false).map(|_| ())
        };
        transactions().expect("two transactions");
    }

    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::Relaxed)
    }

    /// Ends the writers; how many transactions they know to be committed.
    pub fn stop(mut self) -> u64 {
        self.end();
        self.committed()
    }

    fn end(&mut self) {
        self.on.store(false, Ordering::Release);
        for thread in self.threads.drain(..) {
            thread.join().expect("a writer");
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

fn write(url: &str, on: &AtomicBool, committed: &AtomicU64, options: LoadOptions, writer: u64) {
    let mut random = Random::new(options.seed.wrapping_mul(1000) + writer);
    let mut session: Option<Session> = None;
    while on.load(Ordering::Acquire) {
        let Some(mut mine) =
            session.take().or_else(|| Some(Session::new(Client::connect(url, NoTls).ok()?, writer, true)))
        else {
            std::thread::sleep(Duration::from_millis(50));
            continue;
        };
        let transaction = |mine: &mut Session, random: &mut Random| {
            mine.begin()?;
            if options.huge_every > 0 && random.below(options.huge_every) == 0 {
                mine.many(3000)?;
            }
            for _ in 0..1 + random.below(4) {
                mine.step(random)?;
            }
            mine.end(random.below(10) == 0)
        };
        match transaction(&mut mine, &mut random) {
            Ok(done) => {
                committed.fetch_add(u64::from(done), Ordering::Relaxed);
                session = Some(mine);
            }
            // Its rows are gone, or committed and nobody heard: the account knows. What it owned is left alone.
            Err(_) => session = None,
        }
        std::thread::sleep(options.pause);
    }
}

type Result<T> = std::result::Result<T, walspring_testkit::client::Error>;

/// One writer's connection, and the keys that only it touches.
struct Session {
    client: Client,
    number: u64,
    open: bool,
    /// Whether it writes rows that others write too, and so may wait for them.
    shares: bool,
    /// Committed rows of `plain` and `full`.
    owned: [Vec<i64>; 2],
    /// Made and given up in the open transaction.
    made: [Vec<i64>; 2],
    gone: Vec<(usize, i64)>,
}

const TABLE: [&str; 2] = ["plain", "\"full\""];
/// With `w` (pk, seq, pad) the rows that a statement wrote: notes them.
const NOTE: &str = "insert into ledger (tbl, op, pk, seq, sum) select";
const SUM: &str = "md5(pk || ':' || seq || ':' || pad)";

impl Session {
    fn new(client: Client, number: u64, shares: bool) -> Session {
        Session {
            client,
            number,
            open: false,
            shares,
            owned: Default::default(),
            made: Default::default(),
            gone: Vec::new(),
        }
    }

    fn begin(&mut self) -> Result<()> {
        self.open = true;
        self.client.batch_execute("begin")
    }

    /// Whether it was committed.
    fn end(&mut self, roll_back: bool) -> Result<bool> {
        self.client.batch_execute(if roll_back { "rollback" } else { "commit" })?;
        self.open = false;
        for table in 0..2 {
            let made = std::mem::take(&mut self.made[table]);
            if !roll_back {
                self.owned[table].extend(made);
            }
        }
        let gone = std::mem::take(&mut self.gone);
        if roll_back {
            gone.into_iter().for_each(|(table, pk)| self.owned[table].push(pk));
        }
        Ok(!roll_back)
    }

    fn step(&mut self, random: &mut Random) -> Result<()> {
        let table = random.below(2) as usize;
        match random.below(12) {
            0 => self.insert(table, 1),
            1 | 2 => self.insert(table, 2 + random.below(6)),
            3..=5 => {
                let rows = 3 + random.below(8);
                self.copy(rows, random)
            }
            6 => self.update(table, random),
            7 => self.message(random.below(2) == 0),
            8 => self.undone(table),
            9 => self.kept(table),
            10 => self.move_key(),
            _ => self.delete(table),
        }
    }

    fn many(&mut self, rows: u64) -> Result<()> {
        let before = self.made[0].len();
        self.insert(0, rows)?;
        // They would make every later choice one of them.
        self.made[0].truncate(before + 1);
        Ok(())
    }

    fn insert(&mut self, table: usize, rows: u64) -> Result<()> {
        let sql = format!(
            "with w as (insert into {} select nextval('keys'), 1, repeat(md5(random()::text), 1 + g % 4) \
             from generate_series(1, {rows}) g returning pk, seq, pad), \
             l as ({NOTE} '{}', 'c', pk, seq, {SUM} from w) select pk from w",
            TABLE[table],
            super::TABLES[table]
        );
        let rows = self.client.query(&sql, &[])?;
        self.made[table].extend(rows.iter().map(|row| row.get::<_, i64>(0)));
        Ok(())
    }

    fn copy(&mut self, rows: u64, random: &mut Random) -> Result<()> {
        let keys = self.client.query(&format!("select nextval('keys') from generate_series(1, {rows})"), &[])?;
        let keys: Vec<i64> = keys.iter().map(|row| row.get(0)).collect();
        let mut copy = self.client.copy_in("copy plain from stdin")?;
        let mut note = String::new();
        for pk in &keys {
            let pad = format!("copied-{}-{:x}", self.number, random.number());
            // An error here is one of the connection's, which `finish` tells.
            let _ = writeln!(copy, "{pk}\t1\t{pad}");
            note += &format!("plain\tc\t{pk}\t1\t{}\n", sum_of(*pk, 1, &pad));
        }
        copy.finish()?;
        let mut copy = self.client.copy_in("copy ledger (tbl, op, pk, seq, sum) from stdin")?;
        let _ = copy.write_all(note.as_bytes());
        copy.finish()?;
        self.made[0].extend(keys);
        Ok(())
    }

    /// Rows of its own, or one of a few that all writers fight over.
    fn update(&mut self, table: usize, random: &mut Random) -> Result<()> {
        let mine: Vec<i64> = self.owned[table].iter().rev().take(3).copied().collect();
        if mine.is_empty() && !self.shares {
            return self.insert(table, 1);
        }
        let (keys, hot) = if self.shares && random.below(3) == 0 || mine.is_empty() {
            (vec![1 + random.below(8) as i64], true)
        } else {
            (mine, false)
        };
        let keys: Vec<String> = keys.iter().map(i64::to_string).collect();
        if hot {
            let upsert = format!(
                "with w as (insert into {t} as x values ({pk}, 1, md5(random()::text)) on conflict (pk) do update \
                 set seq = x.seq + 1, pad = md5(random()::text) returning pk, seq, pad) \
                 {NOTE} '{name}', case when seq = 1 then 'c' else 'u' end, pk, seq, {SUM} from w",
                t = TABLE[table],
                name = super::TABLES[table],
                pk = keys[0]
            );
            return self.client.batch_execute(&upsert);
        }
        self.client.batch_execute(&format!(
            "with w as (update {} set seq = seq + 1, pad = md5(random()::text) where pk in ({}) returning pk, seq, pad) \
             {NOTE} '{}', 'u', pk, seq, {SUM} from w",
            TABLE[table],
            keys.join(", "),
            super::TABLES[table]
        ))
    }

    fn message(&mut self, transactional: bool) -> Result<()> {
        self.client.batch_execute(&format!("select pg_logical_emit_message({transactional}, 'load', 'between')"))
    }

    fn undone(&mut self, table: usize) -> Result<()> {
        self.client.batch_execute("savepoint undone")?;
        let made = self.made[table].len();
        self.insert(table, 2)?;
        self.made[table].truncate(made);
        self.client.batch_execute("rollback to undone")
    }

    fn kept(&mut self, table: usize) -> Result<()> {
        self.client.batch_execute("savepoint kept")?;
        self.insert(table, 2)?;
        self.client.batch_execute("release kept")
    }

    /// An update of a key is a delete and an insert. The old key is never used again.
    fn move_key(&mut self) -> Result<()> {
        let Some(old) = self.owned[0].pop() else { return self.insert(0, 1) };
        self.gone.push((0, old));
        let sql = format!(
            "with w as (update plain set pk = nextval('keys'), seq = seq + 1, pad = 'moved' where pk = {old} \
             returning pk, seq, pad), \
             d as ({NOTE} 'plain', 'd', {old}, -1, '' from w returning n), \
             c as ({NOTE} 'plain', 'c', pk, seq, {SUM} from w, d returning n) select pk from w, c"
        );
        let rows = self.client.query(&sql, &[])?;
        self.made[0].extend(rows.iter().map(|row| row.get::<_, i64>(0)));
        Ok(())
    }

    fn delete(&mut self, table: usize) -> Result<()> {
        let Some(pk) = self.owned[table].pop() else { return self.insert(table, 1) };
        self.gone.push((table, pk));
        // Without a full identity the stream knows the key alone.
        let what = if table == 0 { "-1, ''".to_owned() } else { format!("seq, {SUM}") };
        self.client.batch_execute(&format!(
            "with w as (delete from {} where pk = {pk} returning pk, seq, pad) {NOTE} '{}', 'd', pk, {what} from w",
            TABLE[table],
            super::TABLES[table]
        ))
    }
}
