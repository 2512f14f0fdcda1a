//! Reading and changing the stored offsets of a connector. They are changed only while it is stopped, which includes
//! that its last task has ended here.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use walspring_connect::{Backend, StoreError};

use super::{Supervisor, sink_offsets};
use crate::configs_store::TargetState;
use crate::info::ConnectorOffset;
use crate::offsets_store::{ConnectorOffsets, is_primitive};
use crate::plugins::ConnectorPlugin;
use crate::refusal::Refusal;
use crate::settings::value;
use crate::sink::group;
use crate::state_store::ConnectorState;

const ALTERED: &str = "The Connect framework-managed offsets for this connector have been altered successfully. However, if \
                       this connector manages offsets externally, they will need to be manually altered in the system \
                       that the connector uses.";
const RESET: &str = "The Connect framework-managed offsets for this connector have been reset successfully. However, if \
                     this connector manages offsets externally, they will need to be manually reset in the system that \
                     the connector uses.";

/// Where a connector's offsets are.
enum Stored {
    /// Of a source: in the offsets topic.
    Log(ConnectorOffsets),
    /// Of a sink: in its consumer group.
    Group { backend: Arc<dyn Backend>, group: String },
}

/// How long a change waits for tasks to end.
const STOP_WAIT: Duration = Duration::from_secs(30);

impl Supervisor {
    pub fn offsets(&self, name: &str) -> Result<Vec<ConnectorOffset>, Refusal> {
        let offsets = match self.open_offsets(name)? {
            Stored::Group { backend, group } => {
                return sink_offsets::read(&*backend, &group).map_err(|e| self.store_failed(e));
            }
            Stored::Log(log) => log.read().map_err(|e| self.store_failed(e))?,
        };
        Ok(offsets.into_iter().map(|(partition, offset)| ConnectorOffset { partition, offset: Some(offset) }).collect())
    }

    /// Sets offsets, and deletes those that are null. The answer is what REST says.
    pub fn alter_offsets(&self, name: &str, offsets: Vec<ConnectorOffset>) -> Result<&'static str, Refusal> {
        if offsets.is_empty() {
            return Err(Refusal::bad_request("Partitions / offsets need to be provided for an alter offsets request"));
        }
        let log = match self.open_for_change(name)? {
            Stored::Group { backend, group } => {
                let changes = offsets.into_iter().map(sink_offsets::parse).collect::<Result<Vec<_>, _>>()?;
                backend.alter_group_offsets(&group, &changes).map_err(|e| self.group_failed("alter", name, e))?;
                return Ok(ALTERED);
            }
            Stored::Log(log) => log,
        };
        let primitive = |map: &Option<Map<String, Value>>| map.as_ref().is_none_or(is_primitive);
        if offsets.iter().any(|o| !is_primitive(&o.partition) || !primitive(&o.offset)) {
            return Err(Refusal::bad_request(
                "Partitions and offsets may only hold strings, numbers, booleans and null, no lists or objects",
            ));
        }
        let offsets: Vec<_> = offsets.into_iter().map(|o| (o.partition, o.offset)).collect();
        self.forget_state(name)?;
        log.alter(&offsets).map_err(|e| self.store_failed(e))?;
        Ok(ALTERED)
    }

    pub fn reset_offsets(&self, name: &str) -> Result<&'static str, Refusal> {
        let log = match self.open_for_change(name)? {
            Stored::Group { backend, group } => {
                backend.delete_group(&group).map_err(|e| self.group_failed("reset", name, e))?;
                return Ok(RESET);
            }
            Stored::Log(log) => log,
        };
        let all = log.read().map_err(|e| self.store_failed(e))?;
        let deleted: Vec<_> = all.into_iter().map(|(partition, _)| (partition, None)).collect();
        self.forget_state(name)?;
        log.alter(&deleted).map_err(|e| self.store_failed(e))?;
        Ok(RESET)
    }

    /// Who sets the offset takes charge: what the source kept beside the old one would speak against the new one.
    fn forget_state(&self, name: &str) -> Result<(), Refusal> {
        let Some(log) = self.ready()?.state() else { return Ok(()) };
        ConnectorState::new(log, name).forget().map_err(|e| self.store_failed(e))
    }

    fn open_offsets(&self, name: &str) -> Result<Stored, Refusal> {
        let backend = self.ready()?;
        let config = self.config(name)?;
        let resolved = self.plugins.options.resolve(&config).map_err(Refusal::internal)?;
        let resolved: Vec<_> = resolved.into_iter().filter_map(|(k, v)| Some((k, v?))).collect();
        let plugin = value(&resolved, "connector.class").and_then(|class| self.plugins.connector(class));
        if let Some(ConnectorPlugin::Sink(_)) = plugin {
            return Ok(Stored::Group { backend, group: group(name, &resolved) });
        }
        let log = ConnectorOffsets::open(&*backend, name, value(&resolved, "offsets.storage.topic"));
        log.map(Stored::Log).map_err(|e| self.store_failed(e))
    }

    fn open_for_change(&self, name: &str) -> Result<Stored, Refusal> {
        self.ready()?;
        let is_stopped = || {
            let state = self.lock();
            state.configs.config(name).ok_or_else(|| Refusal::not_found(format!("Connector {name} not found")))?;
            Ok::<_, Refusal>(state.configs.target(name) == TargetState::Stopped && state.configs.tasks(name).is_empty())
        };
        if !is_stopped()? {
            return Err(Refusal::bad_request(format!(
                "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for \
                 the specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
            )));
        }
        // A task that still drains may store an offset.
        if !self.wait_reconciled(name, STOP_WAIT) || !is_stopped()? {
            return Err(Refusal::conflict(
                "Cannot complete request because of a conflicting operation (e.g. worker rebalance)",
            ));
        }
        self.open_offsets(name)
    }

    fn group_failed(&self, verb: &str, name: &str, error: StoreError) -> Refusal {
        let message = format!("Failed to {verb} consumer group offsets for connector {name}: {error}");
        Refusal { message, ..self.store_failed(error) }
    }

    fn store_failed(&self, error: StoreError) -> Refusal {
        if let StoreError::Fenced(why) = &error {
            self.on_fenced(why.clone());
        }
        error.into()
    }
}
