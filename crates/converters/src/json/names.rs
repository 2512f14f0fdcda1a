//! Names of fields, each once in memory: every record of a topic has the same.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

/// Of one thread. Objects whose names are data would otherwise fill it.
const NAMES_MAX: usize = 1024;
const NAME_BYTES_MAX: usize = 64;

thread_local! {
    static NAMES: RefCell<HashSet<Arc<str>>> = RefCell::default();
}

/// The name, shared with others that this thread has made of the same text.
pub(super) fn shared(name: &str) -> Arc<str> {
    if name.len() > NAME_BYTES_MAX {
        return name.into();
    }
    NAMES.with_borrow_mut(|names| {
        if let Some(name) = names.get(name) {
            return name.clone();
        }
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        let name: Arc<str> = name.into();
        names.insert(name.clone());
        name
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_one_and_names_without_end_take_no_room() {
        assert!(Arc::ptr_eq(&shared("id"), &shared("id")));
        for i in 0..10 * NAMES_MAX {
            assert_eq!(*shared(&format!("name {i}")), *format!("name {i}"));
        }
        assert!(NAMES.with_borrow(HashSet::len) <= NAMES_MAX);
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        assert_eq!(*shared(&long), *long);
    }
}
