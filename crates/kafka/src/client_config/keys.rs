//! The one table of Java's client options: what each is called by the kept client, or why it has no effect here.
//!
//! Adding an option is adding a line. The values are Java's; the few that must be converted name how.

/// Which of Java's clients has the option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Every client; a worker's own value holds for its producers, too.
    Common,
    Producer,
    Consumer,
    Admin,
}

/// How a value is turned into the kept client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convert {
    Same,
    /// Lower case.
    Lower,
    /// Bytes to KiB, at least 1.
    Kib,
    /// A number, brought into the range that the kept client takes.
    Within(i64, i64),
    /// `none` (fail without an offset) is `error` there.
    OffsetReset,
}

/// What becomes of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The kept client has it under these names.
    Kept(&'static [&'static str], Convert),
    /// Part of encryption or login, or read where it is used; see [`super`].
    Read,
    /// Has no counterpart, and nothing is lost: the reason.
    NoEffect(&'static str),
    /// Names a Java class or belongs to the JVM: the reason; warned of.
    JavaOnly(&'static str),
}

#[derive(Debug, Clone, Copy)]
pub struct ClientKey {
    pub name: &'static str,
    pub owner: Owner,
    pub meaning: Meaning,
    /// Names code, files or addresses: a connector may not give it.
    pub guarded: bool,
}

use Convert::*;
use Meaning::*;
use Owner::*;

const fn key(name: &'static str, owner: Owner, meaning: Meaning) -> ClientKey {
    ClientKey { name, owner, meaning, guarded: false }
}

const fn guarded(name: &'static str, owner: Owner, meaning: Meaning) -> ClientKey {
    ClientKey { name, owner, meaning, guarded: true }
}

const MAX: i64 = i32::MAX as i64;
const FORMAT: &str = "records are bytes before they reach the client";
const CLASS: &str = "it names a Java class, and there is no Java here";
const TLS_LIBRARY: &str = "it chooses among Java's TLS implementations";
const TLS_CIPHERS: &str = "Java's names of ciphers do not hold here; TLS 1.2 and 1.3 run with strong ciphers only";
const LOGIN: &str = "tokens are renewed when four fifths of their life are over";
const METRICS: &str = "metrics are served on /metrics";
const COMMITS: &str = "offsets are committed when what was read is written, at offset.flush.interval.ms";

#[rustfmt::skip]
pub const CLIENT_KEYS: &[ClientKey] = &[
    // Every client.
    guarded("bootstrap.servers", Common, Read),
    key("client.id", Common, Read),
    key("client.dns.lookup", Common, Kept(&["client.dns.lookup"], Same)),
    key("client.rack", Common, Kept(&["client.rack"], Same)),
    key("request.timeout.ms", Common, Read),
    key("connections.max.idle.ms", Common, Kept(&["connections.max.idle.ms"], Within(0, MAX))),
    key("metadata.max.age.ms", Common, Kept(&["topic.metadata.refresh.interval.ms", "metadata.max.age.ms"], Within(10, 3_600_000))),
    key("reconnect.backoff.ms", Common, Kept(&["reconnect.backoff.ms"], Within(0, 3_600_000))),
    key("reconnect.backoff.max.ms", Common, Kept(&["reconnect.backoff.max.ms"], Within(0, 3_600_000))),
    key("retry.backoff.ms", Common, Kept(&["retry.backoff.ms"], Within(1, 300_000))),
    key("retry.backoff.max.ms", Common, Kept(&["retry.backoff.max.ms"], Within(1, 300_000))),
    key("send.buffer.bytes", Common, Kept(&["socket.send.buffer.bytes"], Within(0, 100_000_000))),
    key("receive.buffer.bytes", Common, Kept(&["socket.receive.buffer.bytes"], Within(0, 100_000_000))),
    key("socket.connection.setup.timeout.ms", Common, Kept(&["socket.connection.setup.timeout.ms"], Within(1000, MAX))),
    key("socket.connection.setup.timeout.max.ms", Common, NoEffect("the setup timeout does not grow")),
    key("metadata.recovery.strategy", Common, Kept(&["metadata.recovery.strategy"], Same)),
    key("metadata.recovery.rebootstrap.trigger.ms", Common, Kept(&["metadata.recovery.rebootstrap.trigger.ms"], Same)),
    key("default.api.timeout.ms", Common, NoEffect("every call has its own deadline")),
    key("enable.metrics.push", Common, Kept(&["enable.metrics.push"], Same)),
    key("security.protocol", Common, Read),
    guarded("security.providers", Common, JavaOnly(CLASS)),
    guarded("metric.reporters", Common, JavaOnly(CLASS)),
    key("metrics.num.samples", Common, NoEffect(METRICS)),
    key("metrics.recording.level", Common, NoEffect(METRICS)),
    key("metrics.sample.window.ms", Common, NoEffect(METRICS)),
    guarded("auto.include.jmx.reporter", Common, JavaOnly("there is no JMX here; metrics are served on /metrics")),
    guarded("config.providers", Common, NoEffect("secrets are resolved before clients see the options")),
    // Login.
    key("sasl.mechanism", Common, Read),
    key("sasl.jaas.config", Common, Read),
    guarded("sasl.client.callback.handler.class", Common, Read),
    guarded("sasl.login.callback.handler.class", Common, Read),
    guarded("sasl.login.class", Common, Read),
    guarded("sasl.oauthbearer.token.endpoint.url", Common, Read),
    guarded("sasl.oauthbearer.jwks.endpoint.url", Common, NoEffect("brokers check tokens")),
    guarded("sasl.oauthbearer.jwks.endpoint.refresh.ms", Common, NoEffect("brokers check tokens")),
    guarded("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", Common, NoEffect("brokers check tokens")),
    guarded("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", Common, NoEffect("brokers check tokens")),
    guarded("sasl.oauthbearer.jwt.retriever.class", Common, Read),
    guarded("sasl.oauthbearer.jwt.validator.class", Common, JavaOnly(CLASS)),
    key("sasl.oauthbearer.client.credentials.client.id", Common, Read),
    key("sasl.oauthbearer.client.credentials.client.secret", Common, Read),
    key("sasl.oauthbearer.scope", Common, Read),
    key("sasl.oauthbearer.scope.claim.name", Common, NoEffect("the token is passed on as it is")),
    key("sasl.oauthbearer.sub.claim.name", Common, NoEffect("the token is passed on as it is")),
    key("sasl.oauthbearer.header.urlencode", Common, NoEffect("credentials are encoded as RFC 6749 wants it")),
    key("sasl.oauthbearer.expected.audience", Common, NoEffect("brokers check tokens")),
    key("sasl.oauthbearer.expected.issuer", Common, NoEffect("brokers check tokens")),
    key("sasl.oauthbearer.clock.skew.seconds", Common, NoEffect("brokers check tokens")),
    key("sasl.login.refresh.window.factor", Common, NoEffect(LOGIN)),
    key("sasl.login.refresh.window.jitter", Common, NoEffect(LOGIN)),
    key("sasl.login.refresh.min.period.seconds", Common, NoEffect(LOGIN)),
    key("sasl.login.refresh.buffer.seconds", Common, NoEffect(LOGIN)),
    key("sasl.login.connect.timeout.ms", Common, NoEffect("a token is waited for 10 seconds")),
    key("sasl.login.read.timeout.ms", Common, NoEffect("a token is waited for 10 seconds")),
    key("sasl.login.retry.backoff.ms", Common, NoEffect(LOGIN)),
    key("sasl.login.retry.backoff.max.ms", Common, NoEffect(LOGIN)),
    key("sasl.kerberos.service.name", Common, Read),
    guarded("sasl.kerberos.kinit.cmd", Common, Read),
    key("sasl.kerberos.min.time.before.relogin", Common, Kept(&["sasl.kerberos.min.time.before.relogin"], Same)),
    key("sasl.kerberos.ticket.renew.jitter", Common, NoEffect("tickets are renewed by the library")),
    key("sasl.kerberos.ticket.renew.window.factor", Common, NoEffect("tickets are renewed by the library")),
    // Encryption.
    guarded("ssl.truststore.type", Common, Read),
    guarded("ssl.truststore.location", Common, Read),
    guarded("ssl.truststore.password", Common, Read),
    guarded("ssl.truststore.certificates", Common, Read),
    guarded("ssl.keystore.type", Common, Read),
    guarded("ssl.keystore.location", Common, Read),
    guarded("ssl.keystore.password", Common, Read),
    guarded("ssl.keystore.key", Common, Read),
    guarded("ssl.keystore.certificate.chain", Common, Read),
    guarded("ssl.key.password", Common, Read),
    guarded("ssl.endpoint.identification.algorithm", Common, Read),
    guarded("ssl.enabled.protocols", Common, Read),
    guarded("ssl.protocol", Common, NoEffect("the newest protocol that both sides have is used")),
    guarded("ssl.cipher.suites", Common, JavaOnly(TLS_CIPHERS)),
    guarded("ssl.provider", Common, JavaOnly(TLS_LIBRARY)),
    guarded("ssl.keymanager.algorithm", Common, JavaOnly(TLS_LIBRARY)),
    guarded("ssl.trustmanager.algorithm", Common, JavaOnly(TLS_LIBRARY)),
    guarded("ssl.secure.random.implementation", Common, JavaOnly(TLS_LIBRARY)),
    guarded("ssl.engine.factory.class", Common, JavaOnly(CLASS)),
    // Producers.
    key("acks", Producer, Read),
    key("batch.size", Producer, Kept(&["batch.size"], Within(1, MAX))),
    key("buffer.memory", Producer, Kept(&["queue.buffering.max.kbytes"], Kib)),
    key("compression.type", Producer, Kept(&["compression.type"], Same)),
    key("compression.gzip.level", Producer, Read),
    key("compression.lz4.level", Producer, Read),
    key("compression.zstd.level", Producer, Read),
    key("delivery.timeout.ms", Producer, Kept(&["message.timeout.ms"], Within(0, MAX))),
    key("enable.idempotence", Producer, Read),
    key("linger.ms", Producer, Kept(&["linger.ms"], Same)),
    key("max.block.ms", Producer, NoEffect("back-pressure reaches the source, however long it lasts")),
    key("max.in.flight.requests.per.connection", Producer, Kept(&["max.in.flight.requests.per.connection"], Within(1, 5))),
    key("max.request.size", Producer, Kept(&["message.max.bytes"], Within(1000, 1_000_000_000))),
    key("metadata.max.idle.ms", Producer, NoEffect("topics in use are few")),
    key("retries", Producer, Kept(&["retries"], Same)),
    key("transaction.timeout.ms", Producer, Kept(&["transaction.timeout.ms"], Same)),
    guarded("transactional.id", Producer, Read),
    key("transaction.two.phase.commit.enable", Producer, NoEffect("the source offset is in the transaction itself")),
    guarded("partitioner.class", Producer, JavaOnly("records are partitioned by the hash of their key, as Java's default does")),
    key("partitioner.ignore.keys", Producer, JavaOnly("records are partitioned by the hash of their key")),
    key("partitioner.adaptive.partitioning.enable", Producer, NoEffect("it is about records without keys")),
    key("partitioner.availability.timeout.ms", Producer, NoEffect("it is about records without keys")),
    guarded("interceptor.classes", Producer, JavaOnly(CLASS)),
    guarded("key.serializer", Producer, JavaOnly(FORMAT)),
    guarded("value.serializer", Producer, JavaOnly(FORMAT)),
    // Consumers.
    key("group.id", Consumer, Read),
    key("group.instance.id", Consumer, Read),
    key("group.protocol", Consumer, Read),
    key("group.remote.assignor", Consumer, Read),
    key("session.timeout.ms", Consumer, Read),
    key("heartbeat.interval.ms", Consumer, Read),
    key("max.poll.interval.ms", Consumer, Read),
    key("max.poll.records", Consumer, Read),
    key("enable.auto.commit", Consumer, NoEffect(COMMITS)),
    key("auto.commit.interval.ms", Consumer, NoEffect(COMMITS)),
    key("auto.offset.reset", Consumer, Kept(&["auto.offset.reset"], OffsetReset)),
    key("isolation.level", Consumer, Kept(&["isolation.level"], Same)),
    key("check.crcs", Consumer, Kept(&["check.crcs"], Same)),
    key("exclude.internal.topics", Consumer, Read),
    key("allow.auto.create.topics", Consumer, NoEffect("reading creates no topic; one that is not there is waited for")),
    key("fetch.min.bytes", Consumer, Kept(&["fetch.min.bytes"], Same)),
    key("fetch.max.bytes", Consumer, Kept(&["fetch.max.bytes"], Within(1000, 1_000_000_000))),
    key("fetch.max.wait.ms", Consumer, Kept(&["fetch.wait.max.ms"], Within(0, 300_000))),
    key("max.partition.fetch.bytes", Consumer, Kept(&["fetch.message.max.bytes"], Within(1, 1_000_000_000))),
    key("partition.assignment.strategy", Consumer, Read),
    guarded("interceptor.classes", Consumer, JavaOnly(CLASS)),
    guarded("key.deserializer", Consumer, JavaOnly(FORMAT)),
    guarded("value.deserializer", Consumer, JavaOnly(FORMAT)),
    // Admin calls.
    key("retries", Admin, NoEffect("admin calls are repeated by whoever makes them")),
    guarded("bootstrap.controllers", Admin, NoEffect("admin calls go to brokers")),
];

/// The option's line for that client.
pub fn find(name: &str, client: Owner) -> Option<&'static ClientKey> {
    CLIENT_KEYS.iter().find(|key| key.name == name && (key.owner == Common || key.owner == client))
}

/// The known name that differs least, when one is near.
pub fn nearest(name: &str, client: Owner) -> Option<&'static str> {
    CLIENT_KEYS
        .iter()
        .filter(|key| key.owner == Common || key.owner == client)
        .map(|key| (distance(name, key.name), key.name))
        .min()
        .filter(|(distance, _)| *distance <= 1 + name.len() / 5)
        .map(|(_, name)| name)
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let b = b.as_bytes();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_leads_to_the_known_one() {
        assert_eq!(nearest("linger.msec", Producer), Some("linger.ms"));
        assert_eq!(nearest("max.request.sise", Producer), Some("max.request.size"));
        assert_eq!(nearest("colour", Producer), None);
        assert_eq!(nearest("fetch.max.bites", Producer), None);
    }

    #[test]
    fn every_name_stands_once_for_a_client() {
        for client in [Producer, Consumer, Admin] {
            let mut names: Vec<_> =
                CLIENT_KEYS.iter().filter(|k| k.owner == Common || k.owner == client).map(|k| k.name).collect();
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(count, names.len(), "{client:?}");
        }
    }
}
