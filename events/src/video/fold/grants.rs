//! Folds the grants of uploads.

use std::time::Duration;

use crate::event::UploadGranted;
use crate::id::GrantId;
use crate::timestamp::Timestamp;
use crate::video::{ClosedGrant, GrantEnd, OpenGrant, Phase, Video};

/// By how much the clock that dated a grant may be behind the one that dated a deletion. A grant that is recorded after the deletion
/// and is dated this much earlier at most is taken for a later one. One recorded before the deletion never is.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

impl Video {
    /// Adds a grant, or another URL of a grant: a repeated request is signed again where grants go through a queue, and the records
    /// arrive in any order. The grant lasts from its first URL to the end of its last one.
    pub(super) fn upload_granted(&mut self, at: Timestamp, granted: UploadGranted) {
        self.s3_key = Some(granted.s3_key);
        if !granted.metadata.is_empty() && self.metadata_updated_at.is_none_or(|updated| updated <= at) {
            self.metadata = granted.metadata;
        }
        if self.grants_used_before.is_some_and(|before| at < before) {
            return;
        }
        let grant_id = granted.grant_id;
        if self.deleted_at.is_some_and(|deleted_at| at.plus(CLOCK_TOLERANCE) < deleted_at) {
            self.url_is_unchecked(granted.expires_at);
            if !self.open_grants.contains_key(&grant_id) && self.closed(&grant_id).is_none() {
                self.remember(ClosedGrant {
                    grant_id,
                    granted_at: at,
                    expires_at: granted.expires_at,
                    end: GrantEnd::Deleted,
                    upload_id: granted.upload_id,
                });
            }
            return;
        }
        let mut grant = OpenGrant {
            granted_at: at,
            expires_at: granted.expires_at,
            key_id: granted.key_id,
            size: granted.size,
            sha256: granted.sha256,
            content_type: granted.content_type,
            multipart: granted.multipart,
            upload_id: granted.upload_id,
            overwrite: granted.overwrite,
            recorded: self.version,
            expired: false,
        };
        if let Some(known) = self.open_grants.get_mut(&grant_id) {
            if !extend(known, grant) {
                return;
            }
        } else {
            if let Some(closed) = self.closed(&grant_id) {
                if closed.end == GrantEnd::Used {
                    self.url_is_unchecked(granted.expires_at);
                    return;
                }
                if granted.expires_at <= closed.expires_at {
                    return;
                }
                // What was issued before a deletion stays void.
                if self.deleted_at.is_none_or(|deleted_at| deleted_at <= closed.granted_at) {
                    grant.granted_at = closed.granted_at.min(at);
                }
                self.closed_grants.retain(|closed| closed.grant_id != grant_id);
            }
            self.open_grants.insert(grant_id, grant);
        }
        // A new grant is a new try.
        if !self.is_occupied() {
            self.phase = Phase::Waiting;
        }
    }

    fn closed(&self, grant_id: &GrantId) -> Option<&ClosedGrant> {
        self.closed_grants.iter().find(|closed| closed.grant_id == *grant_id)
    }
}

/// Extends `known` by another URL of the same grant. Returns whether it ends later than before.
fn extend(known: &mut OpenGrant, other: OpenGrant) -> bool {
    let is_later = other.expires_at > known.expires_at;
    if other.granted_at < known.granted_at || is_later {
        // An object that was rejected before may now be one of this grant.
        known.recorded = other.recorded;
    }
    known.granted_at = known.granted_at.min(other.granted_at);
    if is_later {
        known.expires_at = other.expires_at;
        known.key_id = other.key_id;
        known.expired = false;
    }
    is_later
}
