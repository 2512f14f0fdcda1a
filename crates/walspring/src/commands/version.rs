//! `walspring version`

use crate::cli::VersionArgs;
use crate::failure::Failure;

/// Kafka Connect's and Debezium's versions whose contracts are kept.
const CONNECT: &str = "4.3.1";
const DEBEZIUM: &str = "3.7.0.Final";

pub fn run(args: &VersionArgs) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if args.json {
        println!("{}", serde_json::json!({ "walspring": version, "kafka_connect": CONNECT, "debezium": DEBEZIUM }));
    } else {
        println!("walspring {version} (serves as Kafka Connect {CONNECT} with Debezium {DEBEZIUM})");
    }
    Ok(())
}
