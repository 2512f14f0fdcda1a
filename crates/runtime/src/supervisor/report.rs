//! `/metrics`: our own numbers, and the names by which dashboards of Kafka Connect find connectors and tasks.

use super::{Health, Supervisor};
use crate::info::State;
use crate::metrics::{header, line, print_labels};

impl Supervisor {
    /// Everything, in Prometheus' text format.
    pub fn metrics_text(&self) -> String {
        let mut out = self.metrics.render();
        let names = self.connectors().unwrap_or_default();
        let statuses: Vec<_> = names.iter().filter_map(|name| self.status(name).ok()).collect();
        let lower = |state: State| state.as_str().to_ascii_lowercase();

        header(&mut out, "walspring_worker_ready", "gauge");
        line(&mut out, "walspring_worker_ready", "", &u8::from(self.health() == Health::Healthy));
        header(&mut out, "kafka_connect_worker_connector_count", "gauge");
        line(&mut out, "kafka_connect_worker_connector_count", "", &names.len());
        header(&mut out, "kafka_connect_worker_task_count", "gauge");
        let tasks: usize = statuses.iter().map(|s| s.tasks.len()).sum();
        line(&mut out, "kafka_connect_worker_task_count", "", &tasks);

        header(&mut out, "kafka_connect_connector_status", "gauge");
        for s in &statuses {
            let labels = [("connector", s.name.as_str()), ("status", &lower(s.connector.state))];
            line(&mut out, "kafka_connect_connector_status", &print_labels(&labels), &1);
        }
        header(&mut out, "kafka_connect_connector_task_status", "gauge");
        for s in &statuses {
            for t in &s.tasks {
                let (task, state) = (t.id.to_string(), lower(t.state));
                let labels = [("connector", s.name.as_str()), ("task", &task), ("status", &state)];
                line(&mut out, "kafka_connect_connector_task_status", &print_labels(&labels), &1);
            }
        }
        let count = |name: &str, wanted: State, out: &mut String| {
            header(out, name, "gauge");
            for s in &statuses {
                let count = s.tasks.iter().filter(|t| t.state == wanted).count();
                line(out, name, &print_labels(&[("connector", &s.name)]), &count);
            }
        };
        count("kafka_connect_worker_connector_running_task_count", State::Running, &mut out);
        count("kafka_connect_worker_connector_failed_task_count", State::Failed, &mut out);
        count("kafka_connect_worker_connector_paused_task_count", State::Paused, &mut out);
        out
    }
}
