//! docs/reliability.md names tests that exist, and counts them rightly.
