//! The rig on a primary with a standby: the primary is killed under load, the standby promoted, and another standby made at
//! the place of the dead one. One worker goes on over all of it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use walspring_testkit::{Postgres, Shutdown, Standby, TempDatabase, wait_for};

use crate::ledger::{self, Load, LoadOptions};
use crate::rig::{Delivery, PATIENCE, Rig, Setup};

/// What there is to choose.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// 17 or later.
    pub major: u32,
    /// Kafka's servers; `None`: the embedded log.
    pub bootstrap: Option<&'a str>,
    pub delivery: Delivery,
}

/// A worker's names of the two servers, in the order in which it is told them.
pub struct Failover {
    pub rig: Rig,
    pub primary: Arc<Postgres>,
    pub standby: Arc<Postgres>,
    hosts: Vec<(String, u16)>,
    slot_of_standby: &'static str,
}

/// Of one failover, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Recovery {
    /// From the primary's end until the standby accepts writes: not our doing.
    pub promotion_s: f64,
    /// From then until something written there is durable and confirmed.
    pub recovery_s: f64,
    pub timeline: u32,
}

const SYNCED: [(&str, &str); 1] = [("sync_replication_slots", "on")];
const SLOT: &str = "standby1";

impl Failover {
    /// Both servers, the tables, and a slot of the account's that a failover does not lose.
    pub fn new(program: &Path, options: Options<'_>) -> Failover {
        let primary = Arc::new(Postgres::start(Postgres::builder(options.major)));
        let standby = Arc::new(primary.standby(Standby::synced(SLOT)));
        // Behind the copy: the standby must not have it, or nothing would be decoded there once it is promoted.
        hold_back(&primary, true);
        let db = Arc::new(primary.database());
        ledger::prepare_for_failover(&db);
        let mut taken = Vec::new();
        wait_synced(&primary, &standby, &db, &[&ledger::order_slot(&db)], &mut taken);
        let hosts: Vec<(String, u16)> =
            [&primary, &standby].map(|server| (server.host().to_owned(), server.port())).into();
        let names = hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect::<Vec<_>>().join(",");
        let connector = [("database.hostname", names.as_str()), ("slot.failover", "true")];
        let mut setup = Setup::new(program, &primary);
        setup.bootstrap = options.bootstrap.map(str::to_owned);
        setup.delivery = options.delivery;
        setup.database = Some((db, "s"));
        setup.connector = &connector;
        let mut rig = setup.rig();
        rig.taken = taken;
        Failover { rig, primary, standby, hosts, slot_of_standby: SLOT }
    }

    /// Writers that go to whichever of the two accepts writes.
    pub fn load(&self, options: LoadOptions) -> Load {
        let hosts = self.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect::<Vec<_>>().join(",");
        let url = format!(
            "postgres://postgres@{hosts}/{}?target_session_attrs=read-write&connect_timeout=2",
            self.rig.db.name()
        );
        Load::start(&url, options)
    }

    /// Until a promotion would lose neither the connector's slot nor the account's.
    pub fn wait_ready(&mut self) {
        let (order, db) = (ledger::order_slot(&self.rig.db), self.rig.db.clone());
        let slot = self.rig.slot().to_owned();
        wait_synced(&self.primary, &self.standby, &db, &[&order, &slot], &mut self.rig.taken);
    }

    /// Ends the primary and, after `down`, promotes the standby. The worker and the writers have to find it by themselves.
    pub fn fail_over(&mut self, end: Shutdown, down: Duration) -> Recovery {
        let begun = Instant::now();
        self.primary.server().stop(end);
        std::thread::sleep(down);
        self.promote(begun)
    }

    /// The primary is stopped in order, the standby promoted, and the former primary comes back as its standby, without a new
    /// copy.
    pub fn switch_over(&mut self) -> Recovery {
        let recovery = self.fail_over(Shutdown::Fast, Duration::ZERO);
        let former = self.standby.clone();
        // Its own slots would be in the way of copies, and the server tries again ten seconds after it saw that.
        let settings: &[(&str, &str)] = &[("sync_replication_slots", "off")];
        former.come_back(&self.primary, Standby { slot: self.slot_of_standby, port: None, settings });
        let own = "select pg_drop_replication_slot(slot_name) from pg_replication_slots \
                   where slot_type = 'logical' and failover and not synced";
        former.sql("postgres", own);
        // Once it is promoted again, nothing would be decoded before its standby is there.
        hold_back(&former, false);
        former.sql("postgres", "alter system set sync_replication_slots = on");
        former.sql("postgres", "select pg_reload_conf()");
        hold_back(&self.primary, true);
        recovery
    }

    /// `begun`: when the primary was ended.
    fn promote(&mut self, begun: Instant) -> Recovery {
        self.standby.promote();
        let promotion_s = begun.elapsed().as_secs_f64();
        let accepts = Instant::now();
        let db = self.standby.copy_of(&self.rig.db);
        std::mem::swap(&mut self.primary, &mut self.standby);
        // Dropped, the old one finds its server gone.
        self.rig.db = Arc::new(db);
        let at = self.primary.value("postgres", "select (pg_current_wal_insert_lsn() - '0/0')::bigint");
        self.rig.wait_confirmed(at.parse().expect("a position"));
        let recovery_s = accepts.elapsed().as_secs_f64();
        Recovery { promotion_s, recovery_s, timeline: self.primary.timeline() }
    }

    /// A new standby in the place of the server that was killed.
    pub fn follow_again(&mut self) {
        let port = self.standby.port();
        let settings: &[(&str, &str)] = &SYNCED;
        let again = self.primary.standby(Standby { slot: self.slot_of_standby, port: Some(port), settings });
        self.standby = Arc::new(again);
        hold_back(&self.primary, true);
    }
}

/// Until these slots would survive a promotion. The account's may hold rows back that are older than the standby, and those
/// hold up the copies of all: it has to move on, too, and gives up what it has for that.
fn wait_synced(primary: &Postgres, standby: &Postgres, db: &TempDatabase, slots: &[&str], taken: &mut Vec<i64>) {
    let names: Vec<String> = slots.iter().map(|slot| format!("'{slot}'")).collect();
    let ready = format!(
        "select count(*) from pg_replication_slots where slot_name in ({}) and synced and not temporary \
         and invalidation_reason is null",
        names.join(", ")
    );
    wait_for("the slots on the standby", PATIENCE, || {
        if standby.value("postgres", &ready) == slots.len().to_string() {
            return Some(());
        }
        taken.extend(ledger::take_commits(db));
        primary.sql("postgres", "select pg_log_standby_snapshot()");
        None
    });
}

/// Whether decoding waits for the standby: `synchronized_standby_slots`.
pub fn hold_back(primary: &Postgres, holds: bool) {
    primary.sql(
        "postgres",
        &match holds {
            true => format!("alter system set synchronized_standby_slots = '{SLOT}'"),
            false => "alter system reset synchronized_standby_slots".to_owned(),
        },
    );
    primary.sql("postgres", "select pg_reload_conf()");
    let want = if holds { SLOT } else { "" };
    wait_for("the setting", Duration::from_secs(10), || {
        (primary.value("postgres", "show synchronized_standby_slots") == want).then_some(())
    });
}
