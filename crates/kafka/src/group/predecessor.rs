//! Frees the place of a dead member: one of the same client id, which a worker that was killed has left behind.
//!
//! A group waits for a member that is silent until its session is over, 45 seconds by default; meanwhile nobody reads its
//! partitions. A task has one member at a time, and its client id is its own, so that one which is still there when the
//! task starts is of a worker that is gone, or that must be: it hears so, and stops. Source: KIP-345, for the members that
//! an operator removes.

use std::time::Duration;

use kafka_protocol::messages::{DescribeGroupsRequest, GroupId};
use kafka_protocol::protocol::StrBytes;

use super::leaving;
use crate::client_config::ClientOptions;
use crate::membership::coordinator;

/// It is a matter of seconds saved: a cluster that does not answer is not waited for.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Removes members of `group` whose client id is that of `role`. How many there were; none where nothing can be done.
pub fn evict(options: &ClientOptions, role: &str, group: &str) -> usize {
    // An id that others may have too says nothing.
    if options.get("client.id").is_some_and(|id| !id.is_empty()) || !leaving::is_possible(options) {
        return 0;
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return 0 };
    let result = runtime.block_on(async { tokio::time::timeout(TIMEOUT, remove(options, role, group)).await });
    runtime.shutdown_background();
    match result {
        Ok(Ok(0)) => 0,
        Ok(Ok(members)) => {
            tracing::info!(group, members, "members that a worker left behind were removed from the group");
            members
        }
        Ok(Err(reason)) => {
            tracing::debug!(group, reason, "the group was not looked at");
            0
        }
        Err(_) => 0,
    }
}

async fn remove(options: &ClientOptions, role: &str, group: &str) -> Result<usize, String> {
    let connection = coordinator::open(options, group, role).await?;
    let id = GroupId(StrBytes::from_string(group.to_owned()));
    let request = DescribeGroupsRequest::default().with_groups(vec![id]);
    let described = connection.call(&request).await.map_err(|e| e.to_string())?;
    let client_id = options.client_id(role);
    let dead: Vec<_> = (described.groups.iter().flat_map(|group| &group.members))
        .filter(|member| member.client_id.as_str() == client_id)
        .map(|member| member.member_id.clone())
        .collect();
    if dead.is_empty() {
        return Ok(0);
    }
    let count = dead.len();
    leaving::remove(&connection, group, dead).await?;
    Ok(count)
}
