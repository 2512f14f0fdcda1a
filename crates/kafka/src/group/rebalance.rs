//! What the group tells a member: partitions are given or taken. The client calls back inside a poll, on the thread that
//! polls; here it is only written down. The client waits for the answer, an (un)assignment, which
//! [`crate::group_consumer`] gives with the poll after the one that has told the caller.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka_sys as rdsys;
use rdsys::rd_kafka_resp_err_t as Code;
use walspring_connect::TopicPartition;

use super::partition_list::PartitionList;
use crate::kept::{Kept, KeptError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Given,
    Taken,
    /// Taken, and perhaps others' already.
    Lost,
}

pub struct Rebalance {
    pub turn: Turn,
    pub partitions: Vec<TopicPartition>,
}

/// Where the callback writes.
#[derive(Default)]
pub struct Heard {
    rebalances: Mutex<VecDeque<Rebalance>>,
    /// The member's queue, so that a poll that waits is ended; null before there is one.
    queue: AtomicPtr<rdsys::rd_kafka_queue_t>,
}

impl Heard {
    pub fn set_queue(&self, queue: *mut rdsys::rd_kafka_queue_t) {
        self.queue.store(queue, Ordering::Release);
    }

    pub fn take(&self) -> Option<Rebalance> {
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    pub fn is_empty(&self) -> bool {
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// The callback. `opaque` is the address of a [`Heard`] that outlives the client.
pub unsafe extern "C" fn on_rebalance(
    client: *mut rdsys::rd_kafka_t,
    code: Code,
    partitions: *mut rdsys::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    // SAFETY: what the client was given; the list lives during the call.
    let (heard, list, lost) = unsafe {
        (&*opaque.cast::<Heard>(), PartitionList::copy_of(partitions), rdsys::rd_kafka_assignment_lost(client) != 0)
    };
    let turn = match code {
        Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Turn::Given,
        _ if lost => Turn::Lost,
        _ => Turn::Taken,
    };
    let rebalance = Rebalance { turn, partitions: list.partitions() };
    heard.rebalances.lock().unwrap_or_else(PoisonError::into_inner).push_back(rebalance);
    let queue = heard.queue.load(Ordering::Acquire);
    if !queue.is_null() {
        // Not rd_kafka_yield: with it, a batch loses the record that comes next.
        // SAFETY: the queue lives while it is polled.
        unsafe { rdsys::rd_kafka_queue_yield(queue) };
    }
}

/// Tells the client that the partitions are taken over, each from its offset.
pub fn assign(kept: &Kept, list: &PartitionList) -> Result<(), KeptError> {
    // SAFETY: the handles live; the list is copied.
    unsafe {
        if is_cooperative(kept) {
            return KeptError::take(rdsys::rd_kafka_incremental_assign(kept.ptr(), list.ptr()));
        }
        code(rdsys::rd_kafka_assign(kept.ptr(), list.ptr()))
    }
}

/// Tells the client that the partitions are given up: these, or, where all are always given up together, all.
pub fn unassign(kept: &Kept, list: &PartitionList) -> Result<(), KeptError> {
    // SAFETY: as above.
    unsafe {
        if is_cooperative(kept) {
            return KeptError::take(rdsys::rd_kafka_incremental_unassign(kept.ptr(), list.ptr()));
        }
        code(rdsys::rd_kafka_assign(kept.ptr(), ptr::null()))
    }
}

fn is_cooperative(kept: &Kept) -> bool {
    // SAFETY: the handle lives; the text is static.
    unsafe { crate::kept::text(rdsys::rd_kafka_rebalance_protocol(kept.ptr())) == "COOPERATIVE" }
}

fn code(code: Code) -> Result<(), KeptError> {
    if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(KeptError::of_code(code)) }
}
