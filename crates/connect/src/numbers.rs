//! Numbers that a plugin keeps itself, read when somebody asks for `/metrics`: no look-up by name where they are counted.

/// As Prometheus has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberKind {
    /// Only grows, or begins again at zero.
    Counter,
    Gauge,
}

/// What all numbers of one name are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberFamily {
    pub name: &'static str,
    pub kind: NumberKind,
    /// One line.
    pub help: &'static str,
}

/// What the runtime knows of the task whose numbers are read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TaskNumbers {
    /// Encoded records that are not durable yet, in bytes.
    pub queue_bytes: f64,
    /// What the writer lets wait at most, in bytes; `None`: it does not say.
    pub queue_bytes_max: Option<f64>,
    /// Records left out under `errors.tolerance=all`.
    pub records_skipped: u64,
    /// Attempts that a transient error ended.
    pub restarts: u64,
}

/// Where numbers are written; `connector` and `task` stand beside the labels that are given.
pub trait NumberSheet {
    fn number(&mut self, family: &NumberFamily, labels: &[(&str, &str)], value: f64);

    /// `counts`: how many values were within each of `bounds` (ascending) and above the one before it, and one more for
    /// those above the last. The kind of the family does not matter.
    fn histogram(&mut self, family: &NumberFamily, labels: &[(&str, &str)], bounds: &[f64], counts: &[u64], sum: f64);
}

/// The numbers of a running task. They are shown until another attempt at the task gives others, or the connector is
/// deleted.
pub trait Numbers: Send + Sync {
    /// Called by any thread; must not wait.
    fn read(&self, task: &TaskNumbers, sheet: &mut dyn NumberSheet);
}
