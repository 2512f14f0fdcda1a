//! Kafka's requests and replies, as far as the rules need them: size, api key, correlation id.
//!
//! The broker's own address in replies is replaced by the proxy's, so that a client which was given the proxy stays with it.
//! Source: the protocol guide of Apache Kafka.

use super::script::api;

/// With its four bytes.
pub fn length(bytes: &[u8]) -> Option<usize> {
    Some(4 + u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) as usize)
}

/// Api key and correlation id.
pub fn request(message: &[u8]) -> Option<(i16, i32)> {
    let key = i16::from_be_bytes(message.get(4..6)?.try_into().ok()?);
    Some((key, i32::from_be_bytes(message.get(8..12)?.try_into().ok()?)))
}

pub fn reply(message: &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(message.get(4..8)?.try_into().ok()?))
}

/// Puts `to` where `from` stands behind the loopback address, in replies that name brokers.
pub fn advertise(message: &mut [u8], key: i16, from: u16, to: u16) {
    if ![api::METADATA, api::FIND_COORDINATOR, api::DESCRIBE_CLUSTER, api::PRODUCE].contains(&key) {
        return;
    }
    const HOST: &[u8] = b"127.0.0.1";
    let port = i32::from(from).to_be_bytes();
    for at in 0..message.len().saturating_sub(HOST.len() + port.len() - 1) {
        if message[at..].starts_with(HOST) && message[at + HOST.len()..].starts_with(&port) {
            message[at + HOST.len()..at + HOST.len() + port.len()].copy_from_slice(&i32::from(to).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brokers_address_is_replaced_where_brokers_are_named() {
        let reply = [&b"....127.0.0.1"[..], &9092i32.to_be_bytes()].concat();
        let mut metadata = reply.clone();
        advertise(&mut metadata, api::METADATA, 9092, 1234);
        assert!(metadata.ends_with(&1234i32.to_be_bytes()));
        let mut fetched = reply.clone();
        advertise(&mut fetched, api::FETCH, 9092, 1234);
        assert_eq!(fetched, reply);
    }
}
