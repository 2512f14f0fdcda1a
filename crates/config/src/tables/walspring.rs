//! Our own options. All begin with `walspring.`, so that they cannot collide with one of the original.

use crate::option::Check::*;
use crate::option::{OptionDef, OptionTable};

pub const DEFAULT_GROUP: &str = "Walspring";

/// In a worker's file.
pub const WALSPRING_WORKER: OptionTable = OptionTable::new(&[
    OptionDef::string("walspring.data.dir")
        .doc("Where the embedded log is kept; by default walspring in the XDG state directory."),
    OptionDef::string("walspring.state.topic")
        .doc("Topic of what connectors keep beside their positions; by default that of offset.storage.topic with -walspring after it."),
    OptionDef::string("walspring.producer")
        .default("native")
        .checks(&[OneOf(&["native", "librdkafka"])])
        .doc("What writes records to Kafka: Walspring's own producer, or librdkafka."),
    OptionDef::boolean("walspring.strict")
        .default("false")
        .checks(&[Boolean])
        .doc("The default of the connectors' option of this name."),
    OptionDef::string("walspring.spill.dir").doc(
        "Directory on a disk for what is held of transactions in progress beyond memory; by default TMPDIR, or /var/tmp. The \
         files have no names and end with their transactions.",
    ),
    OptionDef::list("walspring.http.allow.addresses").default("public,private").doc(
        "Whom HTTP sinks may call, whatever a connector says: public, private, loopback, networks such as 10.1.0.0/16, \
              addresses. Link-local addresses and clouds' metadata only where they are named by network or address.",
    ),
]);

/// In a connector's configuration.
pub const WALSPRING_CONNECTOR: OptionTable = OptionTable::new(&[
    OptionDef::string("walspring.producer")
        .unlisted()
        .checks(&[OneOf(&["native", "librdkafka"])])
        .doc("What writes this connector's records; by default what the worker says."),
    OptionDef::boolean("walspring.slot.temporary")
        .unlisted()
        .checks(&[Boolean])
        .doc("Read through a slot that ends with the connection, so that nothing is left in the database."),
    OptionDef::long("walspring.slot.watch.interval.ms")
        .unlisted()
        .checks(&[Long, NonNegativeLong])
        .doc("How often the slot is looked at for the metrics, on a connection of its own; by default 10000, 0 is never."),
    OptionDef::int("walspring.metrics.tables.max")
        .unlisted()
        .checks(&[Int, NonNegativeInt])
        .doc("Most tables that have metrics under their own name, by default 100; the others are counted together."),
    OptionDef::long("walspring.spill.max.bytes")
        .unlisted()
        .checks(&[Long, NonNegativeLong])
        .doc("Most disk for transactions in progress, in bytes; by default 4 GiB. Beyond that the server keeps them."),
    OptionDef::boolean("walspring.snapshot.resume")
        .unlisted()
        .checks(&[Boolean])
        .doc("A restart goes on with an initial snapshot that had not ended, in place of beginning it again; by default true. See snapshots.md."),
    OptionDef::boolean("walspring.streaming")
        .unlisted()
        .checks(&[Boolean])
        .doc("Take large transactions from the server before they end, so that it does not write them to its disk; by default true. See large-transactions.md."),
    OptionDef::long("walspring.value.max.bytes")
        .unlisted()
        .checks(&[Long, AtLeast(64)])
        .doc("Most bytes of a column's value, at least 64; by default there is no limit but Kafka's. See large-values.md."),
    OptionDef::string("walspring.value.too.large")
        .unlisted()
        .checks(&[OneOf(&["fail", "truncate", "placeholder", "skip"])])
        .doc("What becomes of a value above walspring.value.max.bytes: fail the task (the default), truncate it with a mark, replace it by unavailable.value.placeholder, or skip the record."),
    OptionDef::string("walspring.target.session.attrs")
        .unlisted()
        .checks(&[OneOf(&["any", "read-write", "read-only", "primary", "standby"])])
        .doc("What a server of database.hostname must be to be read, as libpq's target_session_attrs; by default primary where several are given, else any. See failover.md."),
    OptionDef::boolean("walspring.strict")
        .unlisted()
        .checks(&[Boolean])
        .doc("Where the original loses or garbles a value, write it right or refuse it; see strict.md. By default what the worker says."),
]);
