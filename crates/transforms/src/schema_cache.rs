//! What follows from a schema, worked out once for each.
//!
//! Schemas are told apart by where they are, not by what they say: comparing two is as long as they are. Sources and
//! converters hand out the same `Arc` for the same schema. Each entry holds its schema, so that no other can come to lie
//! where it was.

use std::collections::HashMap;
use std::sync::Arc;

use walspring_record::{Schema, SchemaRef};

/// More versions of tables than are in use at a time. Beyond, all is forgotten and worked out anew.
const SCHEMAS_MAX: usize = 1024;

pub(crate) struct SchemaCache<V> {
    known: HashMap<usize, (SchemaRef, V)>,
}

impl<V> SchemaCache<V> {
    pub fn new() -> SchemaCache<V> {
        SchemaCache { known: HashMap::new() }
    }

    pub fn get<E>(&mut self, schema: &SchemaRef, work_out: impl FnOnce(&Schema) -> Result<V, E>) -> Result<&mut V, E> {
        let place = Arc::as_ptr(schema) as usize;
        if !self.known.contains_key(&place) {
            let value = work_out(schema)?;
            if self.known.len() >= SCHEMAS_MAX {
                self.known.clear();
            }
            self.known.insert(place, (schema.clone(), value));
        }
        let (_, value) = self.known.get_mut(&place).expect("it has just been put there");
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use walspring_record::Type;

    use super::*;

    #[test]
    fn a_schema_is_looked_at_once_and_the_cache_is_bounded() {
        let mut cache = SchemaCache::new();
        let mut looked = 0;
        let schema: SchemaRef = Schema::new(Type::Int32).into();
        for _ in 0..3 {
            cache
                .get(&schema, |_| {
                    looked += 1;
                    Ok::<_, ()>(())
                })
                .unwrap();
        }
        assert_eq!(looked, 1);
        for _ in 0..3 * SCHEMAS_MAX {
            cache.get(&Schema::new(Type::Int32).into(), |_| Ok::<_, ()>(())).unwrap();
        }
        assert!(cache.known.len() <= SCHEMAS_MAX);
    }
}
