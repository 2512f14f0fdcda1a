//! The combinations that a runner goes through, as they are named on its command line and in its reports.

use clap::ValueEnum;
use walspring_testkit::kafka;

use crate::rig::Delivery;

#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum Guarantee {
    Alo,
    Eos,
}

impl Guarantee {
    pub fn delivery(self) -> Delivery {
        match self {
            Guarantee::Alo => Delivery::AtLeastOnce,
            Guarantee::Eos => Delivery::ExactlyOnce,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum LogKind {
    Kafka,
    Embedded,
}

impl LogKind {
    /// Kafka's servers, which are started; `None`: the embedded log.
    pub fn bootstrap(self) -> Option<String> {
        (self == LogKind::Kafka).then(|| kafka().bootstrap())
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Cell {
    pub pg: u32,
    pub guarantee: Guarantee,
    pub log: LogKind,
}

/// Every combination there is, in this order: the embedded log knows exactly once alone.
pub fn cells(logs: &[LogKind], pgs: &[u32], guarantees: &[Guarantee]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for &log in logs {
        for &pg in pgs {
            cells.extend(guarantees.iter().map(|&guarantee| Cell { pg, guarantee, log }));
        }
    }
    cells.retain(|cell| cell.log == LogKind::Kafka || cell.guarantee == Guarantee::Eos);
    cells
}

/// As reports name it.
pub fn named(of: impl ValueEnum) -> String {
    of.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
