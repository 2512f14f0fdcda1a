//! The source as the runtime drives it: against real servers, through the plugin.

mod blocking;
mod ddl;
mod errors;
mod failover;
mod hostile;
mod hypertables;
mod identity;
mod in_progress;
mod kept;
mod liveness;
mod notifications;
mod oracle_ddl;
mod oracle_filters;
mod oracle_rounds;
mod oracle_types;
mod preparing;
mod quiet;
mod reselect;
mod resume;
mod signals;
mod snapshot;
mod snapshot_resume;
mod strict;
mod support;
