//! The publication: made in the four modes of `publication.autocreate.mode`, and compared with what is captured.

use walspring_config::postgres::{
    PostgresConnectorConfig, PublicationAutocreate, PublicationConfig, SkippedOperations,
};
use walspring_connect::{CONNECT_EXCEPTION, DEBEZIUM_EXCEPTION, TaskError};

use crate::catalog::Table;
use crate::doctor::words;
use crate::errors::from_pg;
use crate::wire::{Connection, quote_identifier, quote_literal};

/// Makes sure that the publication is there. `captured`: the tables that pass the filters.
pub fn prepare(
    connection: &mut Connection,
    config: &PostgresConnectorConfig,
    captured: &[Table],
) -> Result<(), TaskError> {
    let skipped = config.events.skipped;
    let config = &config.publication;
    let name = quote_identifier(&config.name);
    let exists = connection
        .query(&format!("SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = {}", quote_literal(&config.name)))
        .map_err(|e| from_pg("Reading the publication", e))?
        .len()
        == 1;
    let list = || captured.iter().map(qualified).collect::<Vec<_>>().join(", ");
    let with = with_clause(config, skipped);
    let sql = match (config.autocreate, exists) {
        (PublicationAutocreate::Filtered, false) if captured.is_empty() => {
            return Err(TaskError::definite(
                CONNECT_EXCEPTION,
                format!("Unable to create filtered publication {} for ", config.name),
            )
            .caused_by(DEBEZIUM_EXCEPTION, format!("No table filters found for filtered publication {}", config.name))
            .hint("set table.include.list to tables that exist, or publication.autocreate.mode to all_tables"));
        }
        (PublicationAutocreate::Filtered, false) => format!("CREATE PUBLICATION {name} FOR TABLE {}{with}", list()),
        (PublicationAutocreate::Filtered, true) => {
            if captured.is_empty() || same_tables(connection, &config.name, captured)? {
                return Ok(());
            }
            format!("ALTER PUBLICATION {name} SET TABLE {}", list())
        }
        (_, true) => return Ok(()),
        (PublicationAutocreate::Disabled, false) => {
            let tables: Vec<String> = captured.iter().map(qualified).collect();
            let missing = words::publication_missing(&config.name, &tables);
            let hint = missing.hint();
            return Err(TaskError::definite(CONNECT_EXCEPTION, missing.message).hint(hint));
        }
        (PublicationAutocreate::AllTables, false) => format!("CREATE PUBLICATION {name} FOR ALL TABLES{with}"),
        (PublicationAutocreate::NoTables, false) => format!("CREATE PUBLICATION {name}{with}"),
    };
    tracing::info!(publication = %config.name, "making the publication: {sql}");
    match connection.batch_execute(&sql) {
        // Another worker was quicker.
        Err(e) if e.code() == Some("42710") => Ok(()),
        Err(e) => Err(from_pg("Creating the publication", e)
            .hint(format!("let a role that may do it run: {sql}; and set publication.autocreate.mode=disabled"))),
        Ok(()) => Ok(()),
    }
}

fn with_clause(config: &PublicationConfig, skipped: SkippedOperations) -> String {
    let mut options = Vec::new();
    // Only what somebody asked for is left out already at the source.
    if skipped.explicit && (skipped.create || skipped.update || skipped.delete || skipped.truncate) {
        let all = [
            ("insert", skipped.create),
            ("update", skipped.update),
            ("delete", skipped.delete),
            ("truncate", skipped.truncate),
        ];
        let publish: Vec<&str> = all.iter().filter(|(_, skipped)| !skipped).map(|(name, _)| *name).collect();
        options.push(format!("publish = {}", quote_literal(&publish.join(", "))));
    }
    if config.via_partition_root {
        options.push("publish_via_partition_root = true".to_owned());
    }
    if options.is_empty() { String::new() } else { format!(" WITH ({})", options.join(", ")) }
}

fn same_tables(connection: &mut Connection, name: &str, captured: &[Table]) -> Result<bool, TaskError> {
    let rows = connection
        .query(&format!(
            "SELECT r.prrelid FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid \
             WHERE p.pubname = {}",
            quote_literal(name)
        ))
        .map_err(|e| from_pg("Reading the publication's tables", e))?;
    let mut have: Vec<u32> = rows.iter().map(|r| crate::catalog::number(r, 0)).collect();
    let mut want: Vec<u32> = captured.iter().map(|t| t.oid).collect();
    have.sort_unstable();
    want.sort_unstable();
    Ok(have == want)
}

pub fn qualified(table: &Table) -> String {
    format!("{}.{}", quote_identifier(&table.namespace), quote_identifier(&table.name))
}
