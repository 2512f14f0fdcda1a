//! A signal: JSON from a topic, a file, a table or REST.

use walspring_postgres_source::fuzzing;

pub fn run(data: &[u8]) {
    fuzzing::signal(data);
}
