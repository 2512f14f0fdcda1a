//! What becomes of deletes and of the tombstones behind them.

use walspring_config::tables::transforms::{DELETE_MODE as OPTION, DELETE_MODES, LEGACY_DELETES, legacy_delete_mode};
use walspring_connect::ConvertError;

use crate::error::invalid;
use crate::settings::Settings;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeleteMode {
    Drop,
    Tombstone,
    Rewrite,
    RewriteWithTombstone,
    DeleteToTombstone,
}

impl DeleteMode {
    /// Debezium 2's options count where today's is not given. The original of today passes over them in silence: deletes
    /// that were to be dropped would come as nulls.
    pub fn of(settings: &Settings<'_>) -> Result<DeleteMode, ConvertError> {
        let [deletes, tombstones] = LEGACY_DELETES.map(|option| settings.given(option));
        let older = legacy_delete_mode(deletes, tombstones);
        let text = match (settings.given(OPTION), older) {
            (None, Some(mode)) => {
                tracing::warn!(
                    "delete.handling.mode and drop.tombstones are older spellings; today they are {OPTION}={mode}"
                );
                mode
            }
            (Some(_), Some(_)) => {
                tracing::warn!("delete.handling.mode and drop.tombstones have no effect: {OPTION} is given");
                settings.required(OPTION)?
            }
            _ => settings.required(OPTION)?,
        };
        Ok(match text.trim().to_ascii_lowercase().as_str() {
            "drop" => DeleteMode::Drop,
            "tombstone" => DeleteMode::Tombstone,
            "rewrite" => DeleteMode::Rewrite,
            "rewrite-with-tombstone" => DeleteMode::RewriteWithTombstone,
            "delete-to-tombstone" => DeleteMode::DeleteToTombstone,
            _ => {
                return Err(invalid(OPTION, text, format!("Value must be one of {}", DELETE_MODES.join(", "))));
            }
        })
    }

    /// Rows say whether they are deleted.
    pub fn rewrites(self) -> bool {
        matches!(self, DeleteMode::Rewrite | DeleteMode::RewriteWithTombstone)
    }
}
