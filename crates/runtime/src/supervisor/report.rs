//! `/metrics`: our own numbers, and the names by which dashboards of Kafka Connect find connectors and tasks.

use walspring_connect::threads;

use super::{Health, Supervisor};
use crate::info::State;
use crate::metrics::help;
use crate::metrics_page::{Page, print_labels};

impl Supervisor {
    /// Everything, in Prometheus' text format.
    pub fn metrics_text(&self) -> String {
        let mut page = Page::default();
        self.metrics.write_to(&mut page);
        page.number("walspring_panics_total", "counter", help("walspring_panics_total"), "", threads::panics() as f64);
        self.states(&mut page);
        page.render()
    }

    fn states(&self, page: &mut Page) {
        let names = self.connectors().unwrap_or_default();
        let statuses: Vec<_> = names.iter().filter_map(|name| self.status(name).ok()).collect();
        let mut gauge = |name: &str, labels: &[(&str, &str)], value: usize| {
            page.number(name, "gauge", help(name), &print_labels(labels), value as f64);
        };
        gauge("walspring_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        gauge("walspring_worker_ready", &[], usize::from(self.health() == Health::Healthy));
        gauge("kafka_connect_worker_connector_count", &[], names.len());
        gauge("kafka_connect_worker_task_count", &[], statuses.iter().map(|s| s.tasks.len()).sum());
        let lower = |state: State| state.as_str().to_ascii_lowercase();
        for s in &statuses {
            let connector = ("connector", s.name.as_str());
            gauge("kafka_connect_connector_status", &[connector, ("status", &lower(s.connector.state))], 1);
            for t in &s.tasks {
                let (task, state) = (t.id.to_string(), lower(t.state));
                let labels = [connector, ("task", task.as_str()), ("status", state.as_str())];
                gauge("kafka_connect_connector_task_status", &labels, 1);
            }
            for (name, wanted) in [
                ("kafka_connect_worker_connector_running_task_count", State::Running),
                ("kafka_connect_worker_connector_failed_task_count", State::Failed),
                ("kafka_connect_worker_connector_paused_task_count", State::Paused),
            ] {
                gauge(name, &[connector], s.tasks.iter().filter(|t| t.state == wanted).count());
            }
        }
    }
}
