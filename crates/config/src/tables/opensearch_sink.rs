//! The options of the OpenSearch and Elasticsearch sinks.

use crate::option::OptionTable;

pub const OPENSEARCH_SINK: OptionTable = OptionTable::new(&[]);
