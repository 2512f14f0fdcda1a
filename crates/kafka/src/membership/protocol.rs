//! What the group's members tell one another, and the requests that only the group needs.

use kafka_protocol::messages::*;
use serde_json::{Value, json};

use crate::protocol::Request;
use crate::protocol::shape::{self, Kind, Shape, f, v};
use Kind::{Array, Fixed, Plain, Text};

/// Of every worker of Connect, whosever: the broker lets only one type into a group.
pub const PROTOCOL_TYPE: &str = "connect";
/// None of Connect's own (`sessioned`, `compatible`, `default`): that is what keeps its workers out.
pub const PROTOCOL_NAME: &str = "walspring";

macro_rules! requests {
    ($($request:ident $key:literal $version_max:literal $response:ident $shape:expr;)*) => {
        $(impl Request for $request {
            const KEY: i16 = $key;
            const VERSION_MAX: i16 = $version_max;
            type Response = $response;
            const SHAPE: Option<&'static Shape> = $shape;
        })*
    };
}

requests! {
    JoinGroupRequest 11 9 JoinGroupResponse JOIN_GROUP;
    HeartbeatRequest 12 4 HeartbeatResponse shape::FLAT;
    LeaveGroupRequest 13 5 LeaveGroupResponse LEAVE_GROUP;
    SyncGroupRequest 14 5 SyncGroupResponse shape::FLAT;
    DescribeGroupsRequest 15 5 DescribeGroupsResponse DESCRIBE_GROUPS;
}

/// Bytes: as many numbers of one byte.
const BYTES: Kind = Plain(1);

const JOIN_GROUP: Option<&Shape> = Some(&Shape {
    flexible_from: 6,
    fields: &[
        v(2, Fixed(4)),
        f(Fixed(6)),
        v(7, Text),
        f(Text),
        f(Text),
        v(9, Fixed(1)),
        f(Text),
        f(Array(&[f(Text), v(5, Text), f(BYTES)])),
    ],
});

const LEAVE_GROUP: Option<&Shape> = Some(&Shape {
    flexible_from: 4,
    fields: &[v(1, Fixed(4)), f(Fixed(2)), v(3, Array(&[f(Text), f(Text), f(Fixed(2))]))],
});

const DESCRIBE_GROUPS: Option<&Shape> = Some(&Shape {
    flexible_from: 5,
    fields: &[
        v(1, Fixed(4)),
        f(Array(&[
            f(Fixed(2)),
            f(Text),
            f(Text),
            f(Text),
            f(Text),
            f(Array(&[f(Text), v(4, Text), f(Text), f(Text), f(BYTES), f(BYTES)])),
            v(3, Fixed(4)),
        ])),
    ],
});

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
