//! Members of consumer groups: what sinks read with. The member itself is in [`crate::group_consumer`].

pub(crate) mod errors;
pub(crate) mod leaving;
pub(crate) mod options;
pub(crate) mod partition_list;
pub(crate) mod predecessor;
pub(crate) mod rebalance;
pub(crate) mod topic_watch;
