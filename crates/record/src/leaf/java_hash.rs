//! The order in which a Java `HashMap` gives its entries: what the original's maps come in.

/// Positions of the entries in the order of iteration, from the keys' hash codes in the order of insertion. Keys differ.
///
/// Buckets by `hash ^ hash >>> 16` modulo the table's size, which doubles when more than three quarters are filled; within
/// a bucket the order of insertion. (Eight keys in one bucket become a tree there; that order is not modelled.)
pub fn iteration_order(hashes: &[i32], capacity: usize) -> Vec<usize> {
    let capacity = table_size(hashes.len(), capacity);
    let bucket = |hash: i32| (hash ^ ((hash as u32) >> 16) as i32) as usize & (capacity - 1);
    let mut order: Vec<usize> = (0..hashes.len()).collect();
    order.sort_by_key(|i| bucket(hashes[*i]));
    order
}

/// The size of a table of `capacity` after it has been given `entries`.
pub fn table_size(entries: usize, mut capacity: usize) -> usize {
    while entries > capacity * 3 / 4 {
        capacity *= 2;
    }
    capacity
}

/// `String.hashCode`
pub fn string_hash(s: &str) -> i32 {
    s.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_hash_as_in_java() {
        assert_eq!(string_hash("hello"), 99_162_322);
        assert_eq!(string_hash("é"), 233);
    }

    #[test]
    fn order_follows_buckets() {
        assert_eq!(iteration_order(&[17, 2, 1, 33], 16), [0, 2, 3, 1]);
    }
}
