
pub mod connection;
pub mod producer;
pub mod protocol;
pub mod sasl;
pub mod tls;
