//! Frees the place of a dead member: one of the same client id, which a worker that was killed has left behind.
//!
//! A group waits for a member that is silent until its session is over, 45 seconds by default; meanwhile nobody reads its
//! partitions. A task has one member at a time, and its client id is its own, so that one which is still there when the
//! task starts is of a worker that is gone, or that must be: it hears so, and stops. Source: KIP-345, for the members that
//! an operator removes.

use std::time::Duration;

use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{DescribeGroupsRequest, GroupId, LeaveGroupRequest};
use kafka_protocol::protocol::StrBytes;

use crate::client_config::{ClientOptions, LoginOptions};
use crate::membership::coordinator;

/// It is a matter of seconds saved: a cluster that does not answer is not waited for.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Members of others cannot be removed one by one below this version of LeaveGroup.
const LEAVE_GROUP_OF_OTHERS: i16 = 3;

/// Removes members of `group` whose client id is that of `role`. How many there were; none where nothing can be done.
pub fn evict(options: &ClientOptions, role: &str, group: &str) -> usize {
    // An id that others may have too, members that are meant to stay, and a login that our own connection does not have.
    let is_shared = options.get("client.id").is_some_and(|id| !id.is_empty());
    let is_static = options.get("group.instance.id").is_some_and(|id| !id.is_empty());
    let is_new_protocol = options.get("group.protocol").is_some_and(|name| name.eq_ignore_ascii_case("consumer"));
    if is_shared || is_static || is_new_protocol || matches!(options.login, Some(LoginOptions::Kerberos { .. })) {
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
    if connection.pick::<LeaveGroupRequest>().map_err(|e| e.to_string())? < LEAVE_GROUP_OF_OTHERS {
        return Err("the broker does not remove members of others".into());
    }
    let id = GroupId(StrBytes::from_string(group.to_owned()));
    let request = DescribeGroupsRequest::default().with_groups(vec![id.clone()]);
    let described = connection.call(&request).await.map_err(|e| e.to_string())?;
    let client_id = options.client_id(role);
    let dead: Vec<_> = (described.groups.iter().flat_map(|group| &group.members))
        .filter(|member| member.client_id.as_str() == client_id)
        .map(|member| MemberIdentity::default().with_member_id(member.member_id.clone()))
        .collect();
    if dead.is_empty() {
        return Ok(0);
    }
    let count = dead.len();
    let request = LeaveGroupRequest::default().with_group_id(id).with_members(dead);
    connection.call(&request).await.map_err(|e| e.to_string())?;
    Ok(count)
}
