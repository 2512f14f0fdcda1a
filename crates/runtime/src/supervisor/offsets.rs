//! Reading and changing the stored offsets of a connector. They are changed only while it is stopped, which includes
//! that its last task has ended here.

use std::time::Duration;

use serde_json::{Map, Value};
use walspring_connect::StoreError;

use super::Supervisor;
use crate::configs_store::TargetState;
use crate::info::ConnectorOffset;
use crate::offsets_store::{ConnectorOffsets, is_primitive};
use crate::refusal::Refusal;

/// How long a change waits for tasks to end.
const STOP_WAIT: Duration = Duration::from_secs(30);

impl Supervisor {
    pub fn offsets(&self, name: &str) -> Result<Vec<ConnectorOffset>, Refusal> {
        let offsets = self.open_offsets(name)?.read().map_err(|e| self.store_failed(e))?;
        Ok(offsets.into_iter().map(|(partition, offset)| ConnectorOffset { partition, offset: Some(offset) }).collect())
    }

    /// Sets offsets, and deletes those that are null. The answer is what REST says.
    pub fn alter_offsets(&self, name: &str, offsets: Vec<ConnectorOffset>) -> Result<&'static str, Refusal> {
        if offsets.is_empty() {
            return Err(Refusal::bad_request("Partitions / offsets need to be provided for an alter offsets request"));
        }
        let log = self.open_for_change(name)?;
        let primitive = |map: &Option<Map<String, Value>>| map.as_ref().is_none_or(is_primitive);
        if offsets.iter().any(|o| !is_primitive(&o.partition) || !primitive(&o.offset)) {
            return Err(Refusal::bad_request(
                "Partitions and offsets may only hold strings, numbers, booleans and null, no lists or objects",
            ));
        }
        let offsets: Vec<_> = offsets.into_iter().map(|o| (o.partition, o.offset)).collect();
        log.alter(&offsets).map_err(|e| self.store_failed(e))?;
        Ok("The Connect framework-managed offsets for this connector have been altered successfully. However, if this \
            connector manages offsets externally, they will need to be manually altered in the system that the \
            connector uses.")
    }

    pub fn reset_offsets(&self, name: &str) -> Result<&'static str, Refusal> {
        let log = self.open_for_change(name)?;
        let all = log.read().map_err(|e| self.store_failed(e))?;
        let deleted: Vec<_> = all.into_iter().map(|(partition, _)| (partition, None)).collect();
        log.alter(&deleted).map_err(|e| self.store_failed(e))?;
        Ok("The Connect framework-managed offsets for this connector have been reset successfully. However, if this \
            connector manages offsets externally, they will need to be manually reset in the system that the connector \
            uses.")
    }

    fn open_offsets(&self, name: &str) -> Result<ConnectorOffsets, Refusal> {
        let backend = self.ready()?;
        let config = self.config(name)?;
        let resolved = self.plugins.options.resolve(&config).map_err(Refusal::internal)?;
        let topic = resolved.iter().find(|(k, _)| k == "offsets.storage.topic").and_then(|(_, v)| v.as_deref());
        ConnectorOffsets::open(&*backend, name, topic).map_err(|e| self.store_failed(e))
    }

    fn open_for_change(&self, name: &str) -> Result<ConnectorOffsets, Refusal> {
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

    fn store_failed(&self, error: StoreError) -> Refusal {
        if let StoreError::Fenced(why) = &error {
            self.on_fenced(why.clone());
        }
        error.into()
    }
}
