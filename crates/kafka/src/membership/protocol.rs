//! What the group's members tell one another, and the requests that only the group needs.

use kafka_protocol::messages::*;
use serde_json::{Value, json};

use crate::protocol::Request;

/// Of every worker of Connect, whosever: the broker lets only one type into a group.
pub const PROTOCOL_TYPE: &str = "connect";
/// None of Connect's own (`sessioned`, `compatible`, `default`): that is what keeps its workers out.
pub const PROTOCOL_NAME: &str = "walspring";

macro_rules! requests {
    ($($request:ident $key:literal $version_max:literal $response:ident;)*) => {
        $(impl Request for $request {
            const KEY: i16 = $key;
            const VERSION_MAX: i16 = $version_max;
            type Response = $response;
        })*
    };
}

requests! {
    JoinGroupRequest 11 9 JoinGroupResponse;
    HeartbeatRequest 12 4 HeartbeatResponse;
    LeaveGroupRequest 13 5 LeaveGroupResponse;
    SyncGroupRequest 14 5 SyncGroupResponse;
    DescribeGroupsRequest 15 5 DescribeGroupsResponse;
}

/// What a member says of itself when it joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberMetadata {
    /// The generation in which it came to the group; none for one that is just coming. A worker that was frozen and
    /// thrown out keeps it, so that it does not pass for a new one.
    pub since: Option<i32>,
    /// In milliseconds since the epoch.
    pub started_ms: i64,
}

impl MemberMetadata {
    pub fn encode(&self) -> Vec<u8> {
        json!({"version": 1, "since": self.since, "started_ms": self.started_ms}).to_string().into_bytes()
    }

    /// What cannot be read comes last: it must be from a version that is not known here.
    pub fn decode(bytes: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
        Self {
            since: value.get("since").and_then(Value::as_i64).and_then(|since| i32::try_from(since).ok()),
            started_ms: value.get("started_ms").and_then(Value::as_i64).unwrap_or(i64::MIN),
        }
    }
}

/// Who is to work: the newest. Newcomers are newer than members, whatever their clocks say.
pub fn newest<'a>(members: impl IntoIterator<Item = (&'a str, MemberMetadata)>) -> Option<&'a str> {
    members
        .into_iter()
        .max_by_key(|(id, metadata)| (metadata.since.is_none(), metadata.started_ms, *id))
        .map(|(id, _)| id)
}

pub fn encode_assignment(active: &str) -> Vec<u8> {
    json!({"version": 1, "active": active}).to_string().into_bytes()
}

/// The member that is to work.
pub fn decode_assignment(bytes: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    Some(value.get("active")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_works() {
        let member = |since, started_ms| MemberMetadata { since, started_ms };
        let old = ("old", member(Some(3), 500));
        assert_eq!(newest([old.clone(), ("new", member(None, 400))]), Some("new"), "clocks differ");
        assert_eq!(newest([old.clone(), ("frozen", member(Some(1), 100))]), Some("old"));
        assert_eq!(newest([("a", member(None, 1)), ("b", member(None, 2))]), Some("b"));
        let read = MemberMetadata::decode(&old.1.encode());
        assert_eq!(read, old.1);
        assert_eq!(decode_assignment(&encode_assignment("x-1")).as_deref(), Some("x-1"));
        assert_eq!(decode_assignment(b"\x00\x01"), None);
    }
}
