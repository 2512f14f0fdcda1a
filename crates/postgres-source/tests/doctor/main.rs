//! The doctor on real servers: one that is wrong in many ways, one that is right, a standby.

mod right;
mod standby;
mod support;
mod wrong;
