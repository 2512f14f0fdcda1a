//! The shape of topics. Making them by a connector's rules is the admin client's, behind [`TopicAdmin`]; without one
//! the cluster makes them as its own configuration says.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;
use walspring_connect::writer::{TopicInfo, WriteError};

use super::cluster::{Cluster, TopicState, backoff};
use super::failure;
use super::handoff::{Handoff, TopicQuestion};

/// Makes sure that topics exist. Called on the task's thread; may wait.
pub trait TopicAdmin: Send {
    fn ensure(&self, name: &str) -> Result<TopicInfo, WriteError>;
}

/// `max.message.bytes` where the broker does not tell.
const MESSAGE_BYTES_MAX_DEFAULT: usize = 1_048_588;
const TOPIC_RESOURCE: i8 = 2;

/// Questions that are open at a time: of so many topics each broker elects leaders within a second or two.
const QUESTIONS_MAX: usize = 100;

/// What the producer's thread was asked.
pub(super) struct Asked(Receiver<Result<TopicInfo, WriteError>>);

impl Asked {
    /// Waits.
    pub(super) fn answer(self) -> Result<TopicInfo, WriteError> {
        self.0.recv().unwrap_or_else(|_| Err(WriteError::Transient("the Kafka producer has ended".into())))
    }
}

/// Asks the producer's thread.
pub(super) fn ask(handoff: &Handoff, name: &str) -> Result<Asked, WriteError> {
    let (answer, answered) = channel();
    handoff.ask(TopicQuestion { name: name.to_owned(), answer })?;
    Ok(Asked(answered))
}

/// Asks for many side by side: a topic that has to be made takes some 30 ms, nearly all of it waiting.
pub(super) fn ask_all(handoff: &Handoff, names: &[Arc<str>]) -> Result<Vec<TopicInfo>, WriteError> {
    let mut infos = Vec::with_capacity(names.len());
    for names in names.chunks(QUESTIONS_MAX) {
        let asked = names.iter().map(|name| ask(handoff, name)).collect::<Result<Vec<_>, _>>()?;
        for asked in asked {
            infos.push(asked.answer()?);
        }
    }
    Ok(infos)
}

/// Metadata with automatic creation, until the topic has leaders.
pub(super) async fn ensure(cluster: &Cluster, name: &str, timeout: Duration) -> Result<TopicInfo, WriteError> {
    let partitions = look_up(cluster, name, timeout, true).await?;
    let batch_bytes_max = batch_bytes_max(cluster, name).await.unwrap_or(MESSAGE_BYTES_MAX_DEFAULT);
    Ok(TopicInfo { partitions, batch_bytes_max })
}

/// The partitions of a topic that must be there already.
pub(super) async fn existing(cluster: &Cluster, name: &str, timeout: Duration) -> Result<i32, WriteError> {
    look_up(cluster, name, timeout, false).await
}

async fn look_up(cluster: &Cluster, name: &str, timeout: Duration, create: bool) -> Result<i32, WriteError> {
    let deadline = Instant::now() + timeout;
    let topic: Arc<str> = name.into();
    let mut attempt = 0;
    loop {
        let reason = match cluster.refresh(std::slice::from_ref(&topic), create).await {
            Ok(()) => match cluster.topic(name) {
                Some(TopicState::Known(leaders)) if !leaders.is_empty() && leaders.iter().all(Option::is_some) => {
                    return Ok(i32::try_from(leaders.len()).unwrap_or(i32::MAX));
                }
                Some(TopicState::Known(_)) | None => "its leaders are being elected".to_owned(),
                Some(TopicState::Failed(error)) => match error {
                    ResponseError::UnknownTopicOrPartition | ResponseError::LeaderNotAvailable => error.to_string(),
                    error if error.is_retriable() => error.to_string(),
                    error => return Err(failure::definite(error, None, &format!("topic {name}"))),
                },
            },
            Err(error) => match failure::connection_error(&error) {
                WriteError::Transient(reason) => reason,
                other => return Err(other),
            },
        };
        let wait = backoff(Duration::from_millis(20), Duration::from_millis(500), attempt);
        attempt += 1;
        if Instant::now() + wait > deadline {
            return Err(WriteError::Transient(format!(
                "topic {name} is not there ({reason}); create it, or allow topic.creation.enable or the brokers' \
                 auto.create.topics.enable"
            )));
        }
        tokio::time::sleep(wait).await;
    }
}

/// The topic's `max.message.bytes`; none where we may not describe it.
async fn batch_bytes_max(cluster: &Cluster, name: &str) -> Option<usize> {
    const OPTION: &str = "max.message.bytes";
    let request = DescribeConfigsRequest::default().with_resources(vec![
        DescribeConfigsResource::default()
            .with_resource_type(TOPIC_RESOURCE)
            .with_resource_name(StrBytes::from_string(name.to_owned()))
            .with_configuration_keys(Some(vec![StrBytes::from_static_str(OPTION)])),
    ]);
    let response = cluster.any_connection().await.ok()?.call(&request).await.ok()?;
    let configs = &response.results.first().filter(|r| r.error_code == 0)?.configs;
    configs.iter().find(|c| &*c.name == OPTION)?.value.as_ref()?.parse().ok()
}
