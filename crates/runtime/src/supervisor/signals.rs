//! Signals to a running source, and what it says of its snapshots. Only one that listens hears them: the task answers for
//! itself, whatever the states say.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use walspring_connect::{NotTaken, SignalInbox, SourcePlugin};

use super::Supervisor;
use crate::configs_store::TargetState;
use crate::plugins::ConnectorPlugin;
use crate::refusal::Refusal;

/// How long a request waits for a connector that is being started, stopped or changed.
const RECONCILED_WAIT: Duration = Duration::from_secs(10);

impl Supervisor {
    /// Hands signals, one or a list, to the connector's task. Their ids.
    pub fn signal(&self, name: &str, given: &Value) -> Result<Vec<String>, Refusal> {
        let source = self.signalled_source(name)?;
        let signals = match source.read_signals(given) {
            None => return Err(hears_none(name)),
            Some(Err(mistakes)) => {
                return Err(Refusal::bad_request(format!(
                    "Signals for connector {name} were not taken: {}",
                    mistakes.join("; ")
                )));
            }
            Some(Ok(signals)) => signals,
        };
        let ids = signals.iter().map(|signal| signal.id.clone()).collect();
        match self.inbox(name)?.offer(signals) {
            Ok(()) => Ok(ids),
            Err(NotTaken::NotListening) => Err(not_listening(name)),
            Err(NotTaken::Full) => Err(Refusal::unavailable(format!(
                "Too many signals wait for connector {name} already; send them once it has followed those (GET \
                 /connectors/{name}/signals tells what it is doing)"
            ))),
        }
    }

    /// Which snapshots signals have asked for.
    pub fn signalled(&self, name: &str) -> Result<Value, Refusal> {
        self.signalled_source(name)?;
        self.inbox(name)?.state().ok_or_else(|| not_listening(name))
    }

    /// How far the snapshot is that the connector's task reads; null: it reads none.
    pub fn snapshot(&self, name: &str) -> Result<Value, Refusal> {
        self.ready()?;
        self.config(name)?;
        Ok(self.inbox(name).map_or(Value::Null, |inbox| inbox.snapshot()))
    }

    fn signalled_source(&self, name: &str) -> Result<Arc<dyn SourcePlugin>, Refusal> {
        self.ready()?;
        let config = self.config(name)?;
        let class = config.get("connector.class").and_then(Value::as_str).unwrap_or_default();
        match self.plugins.connector(class) {
            Some(ConnectorPlugin::Source(source)) => Ok(source),
            _ => Err(hears_none(name)),
        }
    }

    /// Of the connector's only task.
    fn inbox(&self, name: &str) -> Result<SignalInbox, Refusal> {
        // While a reconciler has the tasks they are not in the list.
        self.wait_reconciled(name, RECONCILED_WAIT);
        let state = self.lock();
        let running = state.configs.target(name) == TargetState::Started;
        let task = state.connectors.get(name).and_then(|connector| connector.tasks.first()).filter(|_| running);
        task.map(|task| task.control.signals.clone()).ok_or_else(|| not_listening(name))
    }
}

fn hears_none(name: &str) -> Refusal {
    Refusal::conflict(format!("Connector {name} is no source that hears signals"))
}

fn not_listening(name: &str) -> Refusal {
    Refusal::conflict(format!(
        "Connector {name} does not hear signals now: they are heard while it is running and streams (GET \
         /connectors/{name}/status), if its signal.enabled.channels has in-process"
    ))
}
