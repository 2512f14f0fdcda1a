pub mod java_regex;
pub mod option;
pub mod tables;
