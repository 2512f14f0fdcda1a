//! Chores of the repository that need its code: pages that are made from tables. Nothing of the product depends on it.

pub mod options_page;
