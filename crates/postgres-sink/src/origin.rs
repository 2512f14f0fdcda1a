//! The replication origin that each transaction of the sink carries, so that a source on the target can leave them out.

use std::time::Duration;

use crate::errors::{SqlError, SqlErrorKind};
use crate::session::Session;

/// Sets it up for the session. `Ok(Some)`: it cannot be, and why; rows are written all the same.
pub fn set_up(session: &mut Session, name: &str) -> Result<Option<String>, SqlError> {
    match try_set_up(session, name) {
        Ok(()) => Ok(None),
        Err(error) if error.is(SqlErrorKind::Transient) && error.code != "53400" => Err(error),
        Err(error) if error.code == "42501" => {
            let role =
                session.query("select quote_ident(current_user)", &[])?.first().map(|row| row.get::<_, String>(0));
            let grants: Vec<String> = FUNCTIONS
                .iter()
                .map(|function| {
                    format!(
                        "GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO {}",
                        role.as_deref().unwrap_or("the role")
                    )
                })
                .collect();
            Ok(Some(format!("{}; let a superuser run: {}", error.message, grants.join("; "))))
        }
        Err(error) => Ok(Some(error.message)),
    }
}

/// A backend takes milliseconds to end; what lasts longer is for the worker to wait for.
const WAIT: Duration = Duration::from_millis(25);
const WAITS: u32 = 40;

const FUNCTIONS: [&str; 3] =
    ["pg_replication_origin_oid(text)", "pg_replication_origin_create(text)", "pg_replication_origin_session_setup"];

fn try_set_up(session: &mut Session, name: &str) -> Result<(), SqlError> {
    let known = session.query("select pg_replication_origin_oid($1) is not null", &[&name])?;
    if !known.first().is_some_and(|row| row.get(0)) {
        match session.query("select pg_replication_origin_create($1)", &[&name]) {
            // Another task was quicker.
            Err(error) if error.code == "23505" || error.code == "42710" => {}
            made => drop(made?),
        }
    }
    let mut waits = WAITS;
    loop {
        match session.query("select pg_replication_origin_session_setup($1)", &[&name]) {
            // The session of the task before this one has not ended yet.
            Err(error) if error.code == "55006" && waits > 0 => waits -= 1,
            Err(mut error) if error.code == "55006" => {
                error.message.push_str(", which is another session's: if it is another connector's, name another with walspring.sink.origin");
                return Err(error);
            }
            done => return done.map(drop),
        }
        std::thread::sleep(WAIT);
    }
}
