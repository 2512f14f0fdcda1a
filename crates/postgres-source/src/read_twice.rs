//! Tables whose rows a snapshot would read a second time under another name, because they are parts of one another.
//!
//! The stream names a partition's row by the partition, or with `publish.via.partition.root` by the root; a row of an
//! inheriting table by that table. In strict mode a snapshot does the same.

use std::collections::{HashMap, HashSet};

use crate::catalog::{self, Table};
use crate::wire::{Connection, PgError};

#[derive(Debug, Default)]
pub struct ReadTwice {
    /// Their rows are read with other tables: partitions, or their root.
    pub elsewhere: HashSet<u32>,
    /// Tables that others inherit from: read without `ONLY`, they give the others' rows too.
    pub with_children: HashSet<u32>,
}

impl ReadTwice {
    pub fn find(connection: &mut Connection, captured: &[Table], via_root: bool) -> Result<ReadTwice, PgError> {
        let rows = connection.query(
            "SELECT i.inhrelid, i.inhparent, c.relispartition FROM pg_catalog.pg_inherits i \
             JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE c.relkind IN ('r', 'p', 'f')",
        )?;
        let links = rows.iter().map(|row| (catalog::number(row, 0), catalog::number(row, 1), row.get(2) == Some("t")));
        Ok(ReadTwice::of(captured, links, via_root))
    }

    /// `links`: child, parent, and whether the child is a partition of it.
    fn of(captured: &[Table], links: impl Iterator<Item = (u32, u32, bool)>, via_root: bool) -> ReadTwice {
        let is_captured: HashSet<u32> = captured.iter().map(|table| table.oid).collect();
        let (mut root_of, mut parts_of) = (HashMap::new(), HashMap::<u32, Vec<u32>>::new());
        let mut twice = ReadTwice::default();
        for (child, parent, is_partition) in links {
            if is_partition {
                root_of.insert(child, parent);
                parts_of.entry(parent).or_default().push(child);
            } else if is_captured.contains(&child) {
                twice.with_children.insert(parent);
            }
        }
        let has_captured_ancestor = |table: u32| {
            let ancestors = std::iter::successors(root_of.get(&table), |above| root_of.get(above));
            ancestors.take(root_of.len()).any(|above| is_captured.contains(above))
        };
        let all_leaves_captured = |root: u32| {
            let (mut open, mut leaves) = (vec![root], 0);
            while let Some(table) = open.pop() {
                match parts_of.get(&table) {
                    Some(parts) => open.extend(parts),
                    None if table != root && is_captured.contains(&table) => leaves += 1,
                    None => return false,
                }
            }
            leaves > 0
        };
        let elsewhere = |table: &&Table| match via_root {
            true => table.is_partition && has_captured_ancestor(table.oid),
            false => table.kind == 'p' && all_leaves_captured(table.oid),
        };
        twice.elsewhere = captured.iter().filter(elsewhere).map(|table| table.oid).collect();
        twice
    }
}

#[cfg(test)]
mod tests {
    use walspring_record::ReplicaIdentity;

    use super::*;

    #[test]
    fn partitions_are_read_as_the_stream_names_them() {
        let table = |oid: u32, kind, is_partition| Table {
            oid,
            namespace: "public".into(),
            name: oid.to_string(),
            kind,
            pages: 0,
            rows: 0.0,
            identity: ReplicaIdentity::Default,
            is_partition,
        };
        // 1 has the partitions 2 and 3, and 3 has 4. 6 inherits from 5.
        let links = || [(2, 1, true), (3, 1, true), (4, 3, true), (6, 5, false)].into_iter();
        let tables = |oids: &[u32]| {
            let all = [
                table(1, 'p', false),
                table(2, 'r', true),
                table(3, 'p', true),
                table(4, 'r', true),
                table(5, 'r', false),
                table(6, 'r', false),
            ];
            all.into_iter().filter(|table| oids.contains(&table.oid)).collect::<Vec<_>>()
        };
        for (captured, via_root, elsewhere) in [
            (&[1, 2, 3, 4, 5, 6][..], true, &[2, 3, 4][..]),
            (&[1, 2, 3, 4], false, &[1, 3]),
            // Not all of the root's rows would come.
            (&[1, 2], false, &[]),
            (&[1], false, &[]),
            (&[2, 4], true, &[]),
            (&[3, 4], true, &[4]),
        ] {
            let twice = ReadTwice::of(&tables(captured), links(), via_root);
            assert_eq!(twice.elsewhere, elsewhere.iter().copied().collect(), "{captured:?} {via_root}");
            assert_eq!(twice.with_children.contains(&5), captured.contains(&6));
        }
    }
}
