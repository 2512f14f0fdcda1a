//! Why a request is not served: what REST answers with.

use walspring_connect::StoreError;

/// A status of HTTP and the message of Kafka Connect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub status: u16,
    pub message: String,
}

impl Refusal {
    pub fn new(status: u16, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into() }
    }

    pub fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(400, message)
    }

    pub fn not_found(message: impl Into<String>) -> Refusal {
        Refusal::new(404, message)
    }

    pub fn conflict(message: impl Into<String>) -> Refusal {
        Refusal::new(409, message)
    }

    pub fn internal(message: impl Into<String>) -> Refusal {
        Refusal::new(500, message)
    }

    pub fn unavailable(message: impl Into<String>) -> Refusal {
        Refusal::new(503, message)
    }
}

impl From<StoreError> for Refusal {
    fn from(e: StoreError) -> Refusal {
        match e {
            StoreError::Transient(m) => Refusal::unavailable(m),
            StoreError::Definite(m) | StoreError::Fenced(m) => Refusal::internal(m),
        }
    }
}
