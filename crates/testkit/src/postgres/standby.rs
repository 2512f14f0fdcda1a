//! Standbys of a test's server: copied while it runs, following it through a slot, promoted when the test says.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ::postgres::{Client, NoTls};
use walspring_throwaway_postgres::Error;

use super::{Postgres, TempDatabase};
use crate::wait::wait_for;

/// Copying and following may take this long on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Not part of a copy: the log arrives through the slot, slots and the process are the original's own.
const LEFT_OUT: [&str; 4] = ["./pg_wal/0*", "./pg_replslot/*", "./postmaster.*", "./pg_stat_tmp/*"];

/// What a standby is like.
#[derive(Debug, Clone, Copy)]
pub struct Standby<'a> {
    /// Of its physical slot on the primary, which is made.
    pub slot: &'a str,
    /// A port that is free again; `None`: any.
    pub port: Option<u16>,
    /// Settings of its own, over those that it has from the primary.
    pub settings: &'a [(&'a str, &'a str)],
}

impl<'a> Standby<'a> {
    pub fn new(slot: &'a str) -> Standby<'a> {
        Standby { slot, port: None, settings: &[] }
    }

    /// With all that failover slots need on a standby (17 and later).
    pub fn synced(slot: &'a str) -> Standby<'a> {
        Standby { settings: &[("sync_replication_slots", "on")], ..Standby::new(slot) }
    }
}

impl Postgres {
    /// Starts a standby of this server, as `pg_basebackup` would make it: with what `ALTER SYSTEM` has set here. It gives
    /// the primary feedback, and follows it when this returns.
    #[track_caller]
    pub fn standby(&self, standby: Standby<'_>) -> Postgres {
        let Standby { slot, port, settings } = standby;
        self.sql("postgres", &format!("select pg_create_physical_replication_slot('{slot}', true)"));
        let lines = self.followed_through(slot, settings);
        let (url, from) = (self.url("postgres"), self.server().data_dir().to_owned());
        let mut builder = Postgres::builder(self.major).filled_by(move |to| copy(&url, &from, to, &lines));
        if let Some(port) = port {
            builder = builder.port(port);
        }
        let standby = Postgres::start(builder);
        standby.wait_following();
        standby
    }

    /// This standby follows another server from now on, a primary or itself a standby, through a slot that is made there.
    #[track_caller]
    pub fn follow(&self, upstream: &Postgres, slot: &str) {
        upstream.sql("postgres", &format!("select pg_create_physical_replication_slot('{slot}', true)"));
        for (name, value) in upstream.settings_of_a_follower(slot) {
            self.sql("postgres", &format!("alter system set {name} = '{}'", value.replace('\'', "''")));
        }
        self.sql("postgres", "select pg_reload_conf()");
        let through = format!("select 1 from pg_replication_slots where slot_name = '{slot}' and active");
        wait_for("the standby to follow another server", PATIENCE, || {
            upstream.try_sql("postgres", &through).is_ok_and(|rows| !rows.is_empty()).then_some(())
        });
        self.wait_following();
    }

    /// A primary that was stopped in order comes back as a standby of the one that was promoted after that. Its slots are
    /// still there.
    #[track_caller]
    pub fn come_back(&self, primary: &Postgres, standby: Standby<'_>) {
        let Standby { slot, settings, .. } = standby;
        let make = format!(
            "select pg_create_physical_replication_slot('{slot}', true) \
             where not exists (select from pg_replication_slots where slot_name = '{slot}')"
        );
        primary.sql("postgres", &make);
        let lines = primary.followed_through(slot, settings);
        made_a_standby(self.server().data_dir(), &lines).expect("the settings of a standby");
        self.server().start().expect("a start");
        self.wait_following();
    }

    fn followed_through(&self, slot: &str, settings: &[(&str, &str)]) -> String {
        let own = self.settings_of_a_follower(slot);
        let all = own.iter().map(|(k, v)| (*k, v.as_str())).chain(settings.iter().copied());
        all.map(|(k, v)| format!("{k} = '{}'\n", v.replace('\'', "''"))).collect()
    }

    fn settings_of_a_follower(&self, slot: &str) -> [(&'static str, String); 5] {
        let place = format!(
            "host={} port={} user={} dbname=postgres application_name={slot}",
            self.host,
            self.port,
            self.superuser()
        );
        [
            ("primary_conninfo", place),
            ("primary_slot_name", slot.to_owned()),
            ("hot_standby_feedback", "on".to_owned()),
            ("wal_retrieve_retry_interval", "200ms".to_owned()),
            ("wal_receiver_status_interval", "1s".to_owned()),
        ]
    }

    /// Until the log arrives.
    #[track_caller]
    pub fn wait_following(&self) {
        let receives = "select 1 from pg_stat_wal_receiver where status = 'streaming'";
        wait_for("the standby to follow", PATIENCE, || {
            self.try_sql("postgres", receives).is_ok_and(|rows| !rows.is_empty()).then_some(())
        });
    }

    /// Until this standby has replayed what the primary has now.
    #[track_caller]
    pub fn wait_replayed(&self, primary: &Postgres) {
        let end = primary.value("postgres", "select pg_current_wal_flush_lsn()");
        let replayed = format!("select pg_last_wal_replay_lsn() >= '{end}'");
        wait_for("the standby to replay", PATIENCE, || (self.value("postgres", &replayed) == "t").then_some(()));
    }

    /// Makes a primary of this standby; it accepts writes when this returns.
    #[track_caller]
    pub fn promote(&self) {
        assert_eq!(self.value("postgres", "select pg_promote(true, 60)"), "t", "the promotion takes long");
    }

    pub fn timeline(&self) -> u32 {
        let name = self.value("postgres", "select pg_walfile_name(pg_current_wal_lsn())");
        u32::from_str_radix(&name[..8], 16).expect("a file of the log")
    }

    /// A database that is there already: the copy, on a standby, of one of its primary.
    pub fn copy_of(self: &Arc<Self>, database: &TempDatabase) -> TempDatabase {
        TempDatabase { server: self.clone(), name: database.name.clone() }
    }
}

type Result<T> = std::result::Result<T, Error>;

/// An online backup into an empty directory, made a standby's. `settings`: lines for postgresql.auto.conf.
fn copy(url: &str, from: &Path, to: &Path, settings: &str) -> Result<()> {
    let failed = |what: String| Error::new(format!("Copying a server failed: {what}"));
    let label = std::thread::scope(|scope| {
        let backup = || -> std::result::Result<String, String> {
            let mut client = Client::connect(url, NoTls).map_err(|e| e.to_string())?;
            client.batch_execute("select pg_backup_start('copy', true)").map_err(|e| e.to_string())?;
            tar(from, to)?;
            let row = client.query_one("select labelfile from pg_backup_stop(false)", &[]);
            row.map(|row| row.get(0)).map_err(|e| e.to_string())
        };
        scope.spawn(backup).join().unwrap_or_else(|_| Err("the thread broke off".into()))
    })
    .map_err(failed)?;
    given(to, "backup_label", &label)?;
    made_a_standby(to, settings)
}

/// `settings`: lines for postgresql.auto.conf, of which the last of a name counts.
fn made_a_standby(data: &Path, settings: &str) -> Result<()> {
    given(data, "standby.signal", "")?;
    let mut conf = std::fs::OpenOptions::new().append(true).open(data.join("postgresql.auto.conf"))?;
    Ok(conf.write_all(settings.as_bytes())?)
}

/// A file of the server's account, whoever runs the test.
fn given(data: &Path, name: &str, content: &str) -> Result<()> {
    let owner = std::fs::metadata(data.join("PG_VERSION"))?;
    std::fs::write(data.join(name), content)?;
    Ok(chown(data.join(name), Some(owner.uid()), Some(owner.gid()))?)
}

fn tar(from: &Path, to: &Path) -> std::result::Result<(), String> {
    let mut pack = Command::new("tar");
    pack.arg("-C").arg(from).args(LEFT_OUT.map(|pattern| format!("--exclude={pattern}"))).args(["-cf", "-", "."]);
    let mut pack = pack.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(|e| e.to_string())?;
    let input = pack.stdout.take().ok_or("no pipe")?;
    let unpack = Command::new("tar").arg("-C").arg(to).args(["-xpf", "-"]).stdin(input).status();
    // 1: a file changed or went while it was read, as they do while a server runs; the log mends that.
    let packed = pack.wait().map_err(|e| e.to_string())?;
    match unpack {
        Ok(unpacked) if unpacked.success() && packed.code().is_some_and(|code| code <= 1) => Ok(()),
        other => Err(format!("tar ended with {packed} and {other:?}")),
    }
}
