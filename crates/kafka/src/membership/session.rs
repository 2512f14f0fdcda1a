//! The talk with the group's coordinator: join, sync, heartbeats, leave.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;

use super::coordinator::{self, NotFound};
use super::protocol::{self, MemberMetadata, PROTOCOL_NAME, PROTOCOL_TYPE};
use super::{Progress, Shared, StoreErrorText};
use crate::client_config::ClientOptions;
use crate::connection::{Address, Connection, ConnectionConfig, ConnectionError};
use crate::kept::now_ms;

/// Kafka Connect's `session.timeout.ms`.
pub(super) const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a join waits for members to come again; they hear of it with their next heartbeat.
const REBALANCE_TIMEOUT_MS: i32 = 3_000;
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(400);
const RETRY_WAIT: Duration = Duration::from_millis(300);
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Session {
    group_id: GroupId,
    bootstrap: Vec<Address>,
    connection: ConnectionConfig,
    metadata: MemberMetadata,
    member_id: StrBytes,
    coordinator: Option<Address>,
}

/// Why a round has ended.
enum End {
    Again(String),
    /// Members of another protocol are there.
    Refused(String),
    /// A newer worker of ours has the work.
    Replaced,
    Definite(String),
}

impl From<ConnectionError> for End {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Refused(text) | ConnectionError::Unsupported(text) => Self::Definite(text),
            other => Self::Again(other.to_string()),
        }
    }
}

impl Session {
    pub(super) fn new(group_id: &str, options: &ClientOptions) -> Result<Self, String> {
        let (bootstrap, connection) = coordinator::settings(options, "walspring-group")?;
        Ok(Self {
            group_id: GroupId(StrBytes::from_string(group_id.to_owned())),
            bootstrap,
            connection,
            metadata: MemberMetadata { since: None, started_ms: now_ms() },
            member_id: StrBytes::default(),
            coordinator: None,
        })
    }

    /// Until it is told to leave, or has lost its place.
    pub(super) async fn run(&mut self, shared: &Shared) {
        loop {
            let end = tokio::select! {
                () = shared.leave.notified() => {
                    self.leave().await;
                    return;
                }
                end = self.round(shared) => end,
            };
            match end {
                End::Again(reason) => {
                    tracing::debug!(group_id = %*self.group_id.0, reason, "the group's coordinator is asked again");
                    shared.lock().trouble = Some(reason);
                    shared.changed.notify_all();
                    tokio::select! {
                        () = shared.leave.notified() => {
                            self.leave().await;
                            return;
                        }
                        () = tokio::time::sleep(RETRY_WAIT) => {}
                    }
                }
                End::Replaced => {
                    self.leave().await;
                    let group = self.group_id.0.as_str();
                    shared.set(Progress::Lost(format!(
                        "another worker has been started with group.id {group} and has taken over; this one stops its tasks"
                    )));
                    return;
                }
                // Thrown out, and workers of Kafka Connect have come meanwhile.
                End::Refused(text) if self.metadata.since.is_some() => {
                    shared.set(Progress::Lost(text));
                    return;
                }
                End::Refused(text) => {
                    shared.set(Progress::Refused(StoreErrorText { text, is_definite: false }));
                    return;
                }
                End::Definite(text) => {
                    shared.set(Progress::Refused(StoreErrorText { text, is_definite: true }));
                    return;
                }
            }
        }
    }

    /// Joins and keeps the place; returns only when it is lost.
    async fn round(&mut self, shared: &Shared) -> End {
        let outcome: Result<std::convert::Infallible, End> = async {
            let connection = self.open_coordinator().await?;
            loop {
                let generation = self.join(&connection, shared).await?;
                shared.lock().in_group_at = Some(Instant::now());
                shared.set(Progress::Active);
                self.stay(&connection, generation, shared).await?;
            }
        }
        .await;
        match outcome {
            Err(end) => end,
            Ok(never) => match never {},
        }
    }

    async fn open_coordinator(&mut self) -> Result<Connection, End> {
        let mut last = End::Again("no bootstrap server".into());
        for address in &self.bootstrap {
            match self.find_coordinator(address).await {
                Ok(found) => {
                    let connection = Connection::open(&found, &self.connection).await?;
                    self.coordinator = Some(found);
                    return Ok(connection);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn find_coordinator(&self, address: &Address) -> Result<Address, End> {
        coordinator::find(address, &self.connection, &self.group_id).await.or_else(|not_found| match not_found {
            NotFound::Connection(error) => Err(error.into()),
            NotFound::Refused(code) => {
                self.check(code)?;
                Err(End::Again(format!("error {code}")))
            }
            NotFound::NoPort => Err(End::Again("the coordinator has no port".into())),
        })
    }

    /// Returns the generation in which we are the worker.
    async fn join(&mut self, connection: &Connection, shared: &Shared) -> Result<i32, End> {
        let response = loop {
            let protocol = JoinGroupRequestProtocol::default()
                .with_name(StrBytes::from_static_str(PROTOCOL_NAME))
                .with_metadata(Bytes::from(self.metadata.encode()));
            let request = JoinGroupRequest::default()
                .with_group_id(self.group_id.clone())
                .with_session_timeout_ms(SESSION_TIMEOUT.as_millis() as i32)
                .with_rebalance_timeout_ms(REBALANCE_TIMEOUT_MS)
                .with_member_id(self.member_id.clone())
                .with_protocol_type(StrBytes::from_static_str(PROTOCOL_TYPE))
                .with_protocols(vec![protocol]);
            if self.metadata.since.is_none() && !self.member_id.is_empty() {
                shared.set(Progress::Joining);
            }
            let response = connection.call(&request).await?;
            match ResponseError::try_from_code(response.error_code) {
                Some(ResponseError::MemberIdRequired) => self.member_id = response.member_id,
                Some(ResponseError::UnknownMemberId) => self.member_id = StrBytes::default(),
                Some(ResponseError::InconsistentGroupProtocol) => return Err(self.refused(connection).await),
                _ => break response,
            }
        };
        self.check(response.error_code)?;
        self.member_id = response.member_id.clone();
        let members = response.members.iter().map(|m| (m.member_id.as_str(), MemberMetadata::decode(&m.metadata)));
        // Only the leader is told of the members.
        let assignments = match protocol::newest(members) {
            Some(active) if response.leader == self.member_id => response
                .members
                .iter()
                .map(|member| {
                    SyncGroupRequestAssignment::default()
                        .with_member_id(member.member_id.clone())
                        .with_assignment(Bytes::from(protocol::encode_assignment(active)))
                })
                .collect(),
            _ => Vec::new(),
        };
        let request = SyncGroupRequest::default()
            .with_group_id(self.group_id.clone())
            .with_generation_id(response.generation_id)
            .with_member_id(self.member_id.clone())
            .with_protocol_type(Some(StrBytes::from_static_str(PROTOCOL_TYPE)))
            .with_protocol_name(Some(StrBytes::from_static_str(PROTOCOL_NAME)))
            .with_assignments(assignments);
        let synced = connection.call(&request).await?;
        match ResponseError::try_from_code(synced.error_code) {
            Some(ResponseError::RebalanceInProgress) => return Err(End::Again("the group changes again".into())),
            _ => self.check(synced.error_code)?,
        }
        match protocol::decode_assignment(&synced.assignment) {
            Some(active) if active == self.member_id.as_str() => {
                self.metadata.since.get_or_insert(response.generation_id);
                Ok(response.generation_id)
            }
            Some(_) => Err(End::Replaced),
            None => Err(End::Again("the group's leader has not said who works".into())),
        }
    }

    /// Heartbeats, until the group changes.
    async fn stay(&mut self, connection: &Connection, generation: i32, shared: &Shared) -> Result<(), End> {
        loop {
            tokio::time::sleep(HEARTBEAT_INTERVAL).await;
            let asked_at = Instant::now();
            let request = HeartbeatRequest::default()
                .with_group_id(self.group_id.clone())
                .with_generation_id(generation)
                .with_member_id(self.member_id.clone());
            let response = connection.call(&request).await?;
            match ResponseError::try_from_code(response.error_code) {
                Some(ResponseError::RebalanceInProgress | ResponseError::IllegalGeneration) => return Ok(()),
                Some(ResponseError::UnknownMemberId) => {
                    self.member_id = StrBytes::default();
                    return Ok(());
                }
                _ => self.check(response.error_code)?,
            }
            shared.lock().in_group_at = Some(asked_at);
        }
    }

    fn check(&self, code: i16) -> Result<(), End> {
        match ResponseError::try_from_code(code) {
            None => Ok(()),
            Some(ResponseError::GroupAuthorizationFailed) => Err(End::Definite(format!(
                "Kafka refuses the group {}: grant this principal Read on it",
                self.group_id.0.as_str()
            ))),
            Some(error) => Err(End::Again(error.to_string())),
        }
    }

    /// With who is there, as far as the coordinator tells.
    async fn refused(&self, connection: &Connection) -> End {
        let request = DescribeGroupsRequest::default().with_groups(vec![self.group_id.clone()]);
        let members: Vec<String> = match connection.call(&request).await {
            Ok(response) => response
                .groups
                .iter()
                .flat_map(|group| &group.members)
                .map(|member| format!("{}{}", member.client_id.as_str(), member.client_host.as_str()))
                .collect(),
            Err(_) => Vec::new(),
        };
        End::Refused(format!(
            "group.id {} is held by {} of Kafka Connect ({}); waiting until they are stopped",
            self.group_id.0.as_str(),
            if members.len() == 1 { "a worker".into() } else { format!("{} workers", members.len()) },
            members.join(", ")
        ))
    }

    /// On a connection of its own: on the other one a join may be waiting for its answer.
    async fn leave(&mut self) {
        let Some(coordinator) = self.coordinator.take().filter(|_| !self.member_id.is_empty()) else { return };
        let leaving = async {
            let connection = Connection::open(&coordinator, &self.connection).await?;
            let request = LeaveGroupRequest::default().with_group_id(self.group_id.clone());
            let request = if connection.pick::<LeaveGroupRequest>()? >= 3 {
                request.with_members(vec![MemberIdentity::default().with_member_id(self.member_id.clone())])
            } else {
                request.with_member_id(self.member_id.clone())
            };
            connection.call(&request).await
        };
        match tokio::time::timeout(LEAVE_TIMEOUT, leaving).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the group was not left in order"),
            Err(_) => tracing::debug!("the group was not left in time"),
        }
    }
}
