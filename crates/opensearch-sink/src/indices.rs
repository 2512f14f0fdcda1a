//! Indices, made before their first document, with the mapping of the records' schema; and the mapping brought up to date
//! when a schema gains fields.
//!
//! An index is made with its mapping, so that the settings of a template of the user's own hold beside it. Our template of
//! the same mapping has the lowest priority: it is for the case that the index is deleted and made again by a document.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use tracing::{info, warn};
use walspring_connect::{CONNECT_EXCEPTION, TaskError};
use walspring_record::{Schema, SchemaRef};

use crate::client::{Answer, Client, Method, Question, escaped};
use crate::document::Style;
use crate::mapping::mapping_of;
use crate::rejection::ErrorAnswer;
use crate::writer::whole_error;

/// What has been seen to.
#[derive(Default)]
pub struct Indices {
    /// The schemas whose fields the index has, the last one last.
    ready: HashMap<String, Vec<SchemaRef>>,
}

/// Records of several versions of a table may come in turn while a topic's partitions are read.
const SCHEMAS_MAX: usize = 16;

#[derive(Debug, Clone, Copy)]
pub struct IndexOptions {
    pub style: Style,
    pub templates: bool,
    /// The index or alias is the user's: nothing is made, its mapping stays.
    pub external: bool,
}

impl Indices {
    /// Cheap for an index and a schema that have been seen. `schema` is the whole value's, by which it is known again;
    /// `row` the part of it that the document is of. Without `schema` the mapping is left to the cluster.
    pub fn ensure(
        &mut self,
        client: &mut Client,
        index: &str,
        schema: Option<&SchemaRef>,
        row: Option<&Schema>,
        options: IndexOptions,
    ) -> Result<(), TaskError> {
        match (self.ready.get_mut(index), schema) {
            (None, _) => {
                let mapping = schema.and(row).and_then(|row| mapping_of(options.style, row));
                self.make(client, index, mapping, options)?;
            }
            (Some(_), None) => return Ok(()),
            (Some(known), Some(schema)) => {
                if known.iter().any(|known| Arc::ptr_eq(known, schema)) {
                    return Ok(());
                }
                if let Some(same) = known.iter_mut().find(|known| *known == schema) {
                    // Found by its address next time.
                    *same = schema.clone();
                    return Ok(());
                }
                let mapping = row.filter(|_| !options.external).and_then(|row| mapping_of(options.style, row));
                if let Some(mapping) = mapping {
                    if options.templates {
                        put_template(client, index, &mapping)?;
                    }
                    add_fields(client, index, &mapping)?;
                }
            }
        }
        let known = self.ready.entry(index.to_owned()).or_default();
        if let Some(schema) = schema {
            if known.len() >= SCHEMAS_MAX {
                known.remove(0);
            }
            known.push(schema.clone());
        }
        Ok(())
    }

    /// Looks again at the next document: an index may be gone.
    pub fn forget(&mut self) {
        self.ready.clear();
    }

    fn make(
        &self,
        client: &mut Client,
        index: &str,
        mapping: Option<Json>,
        options: IndexOptions,
    ) -> Result<(), TaskError> {
        let path = format!("/{}", escaped(index));
        let exists = ask(client, Method::Head, &path, None)?;
        match exists.status {
            200 => {
                if let Some(mapping) = mapping.filter(|_| !options.external) {
                    if options.templates {
                        put_template(client, index, &mapping)?;
                    }
                    add_fields(client, index, &mapping)?;
                }
                return Ok(());
            }
            404 if options.external => {
                return Err(TaskError::definite(
                    CONNECT_EXCEPTION,
                    format!("{}: there is no index or alias {index}", client.node()),
                )
                .hint("make it, or name another in the option that maps topics to existing resources"));
            }
            404 => {}
            status => {
                return Err(whole_error(client, &format!("to say whether index {index} exists"), status, &exists.body));
            }
        }
        if let Some(mapping) = mapping.as_ref().filter(|_| options.templates) {
            put_template(client, index, mapping)?;
        }
        let body = mapping.as_ref().map_or_else(|| json!({}), |mapping| json!({ "mappings": mapping }));
        let made = ask(client, Method::Put, &path, Some(&body))?;
        match made.status {
            200..=299 => info!(index, with_mapping = mapping.is_some(), "made an index"),
            // Another task was faster: it has its fields, and ours are added.
            400 if ErrorAnswer::of_body(&made.body).kind() == "resource_already_exists_exception" => {
                if let Some(mapping) = &mapping {
                    add_fields(client, index, mapping)?;
                }
            }
            status => {
                return Err(whole_error(client, &format!("to make index {index}"), status, &made.body));
            }
        }
        Ok(())
    }
}

/// Templates are a precaution: without the right to make them, or beside one of the user's for the same name, we go on.
fn put_template(client: &mut Client, index: &str, mapping: &Json) -> Result<(), TaskError> {
    let body = json!({
        "index_patterns": [index],
        "priority": 0,
        "template": { "mappings": mapping },
        "_meta": { "made_by": "walspring" },
    });
    let path = format!("/_index_template/{}", escaped(&format!("walspring-{index}")));
    let answer = ask(client, Method::Put, &path, Some(&body))?;
    match answer.status {
        200..=299 => {}
        400 | 403 | 404 | 405 => {
            let why = ErrorAnswer::of_body(&answer.body).shown(&|_| false);
            warn!(
                index,
                status = answer.status,
                why,
                "no index template is made for it; set walspring.index.templates=false to be without"
            );
        }
        status => return Err(whole_error(client, "an index template", status, &answer.body)),
    }
    Ok(())
}

fn add_fields(client: &mut Client, index: &str, mapping: &Json) -> Result<(), TaskError> {
    let path = format!("/{}/_mapping", escaped(index));
    let answer = ask(client, Method::Put, &path, Some(mapping))?;
    if answer.status != 400 {
        return match answer.status {
            200..=299 => Ok(()),
            status => Err(whole_error(client, &format!("the mapping of index {index}"), status, &answer.body)),
        };
    }
    let error = ErrorAnswer::of_body(&answer.body);
    // All that follows would be refused document by document.
    if error.reason_contains("to [date]") || error.reason_contains("[date] to") {
        let why = error.shown(&|_| false);
        return Err(TaskError::definite(
            CONNECT_EXCEPTION,
            format!("index {index} has numbers where the records' schema has dates: {why}"),
        )
        .hint("set walspring.temporal.values=plain, which writes them as the original does, or write to a new index"));
    }
    let mut fields = Vec::new();
    field_names(mapping, &mut fields);
    let why = error.shown(&|name| fields.iter().any(|field| field == name));
    warn!(index, why, "the mapping stays as it is: documents that do not fit it are refused one by one");
    Ok(())
}

fn field_names(mapping: &Json, names: &mut Vec<String>) {
    if let Some(properties) = mapping.get("properties").and_then(Json::as_object) {
        for (name, field) in properties {
            names.push(name.clone());
            field_names(field, names);
        }
    }
}

fn ask(client: &mut Client, method: Method, path: &str, body: Option<&Json>) -> Result<Answer, TaskError> {
    let body = body.map(Json::to_string).unwrap_or_default();
    let question =
        Question { method, path, content_type: "application/json", body: body.as_bytes(), about_index: true };
    client.ask(&question)
}
