//! Takes members out of a group from outside, on a connection of our own: the dead whose place is taken, and ourselves where
//! the client cannot say so.
//!
//! A broker reads a connection's next request when it has answered the one before. A member that asks for its share waits
//! until all others have asked too, and on the client's own connection its farewell waits behind that.

use std::time::Duration;

use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{GroupId, LeaveGroupRequest};
use kafka_protocol::protocol::StrBytes;

use crate::client_config::{ClientOptions, LoginOptions};
use crate::connection::Connection;
use crate::membership::coordinator;

/// Members of others cannot be removed one by one below this version of LeaveGroup.
const LEAVE_GROUP_OF_OTHERS: i16 = 3;

/// Whether a member of these options may be taken out: one that is meant to stay must not, the newer protocol has other
/// requests, and our own connection does not have every login.
pub fn is_possible(options: &ClientOptions) -> bool {
    let is_static = options.get("group.instance.id").is_some_and(|id| !id.is_empty());
    let is_new_protocol = options.get("group.protocol").is_some_and(|name| name.eq_ignore_ascii_case("consumer"));
    !is_static && !is_new_protocol && !matches!(options.login, Some(LoginOptions::Kerberos { .. }))
}

/// Takes one member out. The reason why not, where it could not be done in time.
pub fn leave(options: &ClientOptions, group: &str, member_id: &str, timeout: Duration) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let member = StrBytes::from_string(member_id.to_owned());
    let leaving = async {
        let connection = coordinator::open(options, group, "walspring-leave").await?;
        remove(&connection, group, vec![member]).await
    };
    let result = runtime.block_on(async { tokio::time::timeout(timeout, leaving).await });
    runtime.shutdown_background();
    result.map_err(|_| "the group's broker does not answer".to_owned())?
}

/// On a connection to the group's coordinator.
pub async fn remove(connection: &Connection, group: &str, members: Vec<StrBytes>) -> Result<(), String> {
    if connection.pick::<LeaveGroupRequest>().map_err(|e| e.to_string())? < LEAVE_GROUP_OF_OTHERS {
        return Err("the broker does not remove members of others".into());
    }
    let members = members.into_iter().map(|member| MemberIdentity::default().with_member_id(member)).collect();
    let id = GroupId(StrBytes::from_string(group.to_owned()));
    let request = LeaveGroupRequest::default().with_group_id(id).with_members(members);
    connection.call(&request).await.map(drop).map_err(|e| e.to_string())
}
