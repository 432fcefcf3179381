//! Folds the events of uploads.

use crate::event::{
    RemovalReason, UploadCompleted, UploadExpired, UploadReceived, UploadRejected, UploadRemoved,
};
use crate::media::VideoError;
use crate::timestamp::Timestamp;
use crate::video::{
    Arrival, Deletion, GrantEnd, KnownObject, NULL_VERSION, ObjectDetails, ObjectStatus, Phase, SourceObject,
    Upload, Video, sequencer_order,
};

impl Video {
    pub(super) fn upload_completed(&mut self, at: Timestamp, completed: UploadCompleted) {
        let UploadCompleted { bytes, etag, version_id, .. } = completed;
        let object = SourceObject {
            version_id: version_id.clone(),
            bytes,
            etag: etag.clone(),
            sequencer: completed.sequencer.clone(),
            created_at: completed.created_at.unwrap_or(at),
            found: completed.found,
            details: None,
            grant_id: None,
        };
        self.s3_key = Some(completed.s3_key);
        self.forget(&object);
        self.forget_replaced(&object);
        let version_before = version_id.as_ref().map(|_| NULL_VERSION.to_owned());
        self.set_aside_upload(ObjectStatus::Superseded, at, version_before);
        self.accepted.latest = self.accepted.latest.max(completed.created_at);
        if completed.found {
            self.accepted.latest_found = self.accepted.latest_found.max(completed.created_at);
        }
        match &completed.grant_id {
            Some(grant_id) => self.close_grant(grant_id, GrantEnd::Used),
            None => self.all_grants_used(at),
        }
        if version_id.is_none() {
            self.record_arrival(at, completed.sequencer, &etag, completed.found);
        } else if !completed.found {
            self.sequencer = Some(completed.sequencer);
        }
        self.upload = Some(Upload { bytes, etag, version_id });
        self.begin_generation(completed.generation, at);
    }

    pub(super) fn upload_received(&mut self, at: Timestamp, received: UploadReceived) {
        self.s3_key = Some(received.s3_key);
        let object = SourceObject {
            version_id: received.version_id,
            bytes: received.bytes,
            etag: received.etag,
            sequencer: received.sequencer,
            created_at: received.created_at,
            found: received.found,
            details: Some(ObjectDetails { content_type: received.content_type, sha256: received.sha256 }),
            grant_id: received.grant_id,
        };
        self.forget_replaced(&object);
        if object.version_id.is_none() && self.objects.iter().any(|known| known.object.version_id.is_none()) {
            // It was replaced by the one that waits.
            return;
        }
        let recorded = self.version;
        let status = ObjectStatus::Received;
        self.objects.push(KnownObject { object, status, since: at, received_at: None, recorded });
    }

    pub(super) fn upload_rejected(&mut self, at: Timestamp, rejected: UploadRejected) {
        let UploadRejected { bytes, etag, sequencer, error, found, version_id, created_at, .. } = rejected;
        self.s3_key = Some(rejected.s3_key);
        // The rightful upload of another URL can still arrive.
        let is_awaited =
            rejected.grant_id.as_ref().is_some_and(|named| self.open_grants.keys().any(|open| open != named));
        let object = SourceObject {
            version_id,
            bytes,
            etag,
            sequencer,
            created_at: created_at.unwrap_or(at),
            found,
            details: None,
            grant_id: rejected.grant_id,
        };
        let before = self.forget(&object);
        self.forget_replaced(&object);
        if object.version_id.is_some() {
            // An object that is rejected again, for another reason, is not kept longer.
            let since = before
                .as_ref()
                .filter(|known| matches!(known.status, ObjectStatus::Rejected { .. }))
                .map_or(at, |known| known.since);
            let received_at = before.and_then(|known| match known.status {
                ObjectStatus::Received => Some(known.since),
                _ => known.received_at,
            });
            let status = ObjectStatus::Rejected { code: error.code.clone() };
            self.objects.push(KnownObject { object, status, since, received_at, recorded: self.version });
        } else {
            self.record_arrival(at, object.sequencer, &object.etag, found);
        }
        // A client that waits for an upload, the first one or one after a deletion, must see the rejection.
        let waits = if created_at.is_some() {
            match &self.phase {
                Phase::Waiting | Phase::Expired => !is_awaited,
                Phase::Errored { .. } => self.generation == 0,
                _ => false,
            }
        } else {
            // An event of an earlier release.
            self.all_grants_used(at);
            self.generation == 0 || matches!(self.phase, Phase::Waiting)
        };
        if waits {
            self.phase = Phase::Errored { error };
        }
    }

    pub(super) fn upload_removed(&mut self, removed: &UploadRemoved) {
        let version_id = Some(removed.version_id.as_str());
        self.objects.retain(|known| known.object.version_id.as_deref() != version_id);
        if version_id == Some(NULL_VERSION)
            && removed.reason == RemovalReason::Deleted
            && let Some(deletion) = self.deleted.as_mut().filter(|deletion| deletion.version_id.is_none())
        {
            deletion.source_removed = true;
        }
    }

    pub(super) fn upload_expired(&mut self, expired: &UploadExpired) {
        if expired.checked_until.is_some() && expired.checked_until >= self.unchecked_until {
            self.unchecked_until = None;
        }
        for grant_id in &expired.grant_ids {
            if expired.closed {
                self.close_grant(grant_id, GrantEnd::Expired);
            } else if let Some(grant) = self.open_grants.get_mut(grant_id) {
                grant.expired = true;
            }
        }
        if !matches!(self.phase, Phase::Waiting) || expired.grant_ids.is_empty() {
            return;
        }
        if !expired.closed && self.upload_until().is_none() {
            self.phase = Phase::Expired;
        } else if self.open_grants.is_empty() {
            // Earlier releases recorded the expiry once, at the end of the grace.
            let message = "nothing was uploaded before the upload URL expired; ask for a new one";
            self.phase = Phase::Errored { error: VideoError::retryable("upload_expired", message) };
        }
    }

    /// Deletes all objects that the log knows, and voids all grants.
    pub(super) fn delete_uploads(&mut self, at: Timestamp) {
        // After a second deletion without an upload between, the object to remove is still the same.
        let before = self.deleted.take().map(|deletion| (deletion.etag, deletion.version_id));
        let current = self.upload.as_ref().map(|upload| (upload.etag.clone(), upload.version_id.clone()));
        let generation = self.generation;
        self.deleted = current.or(before).map(|(etag, version_id)| Deletion {
            generation,
            etag,
            version_id,
            at,
            source_removed: false,
        });
        self.deleted_at = Some(at);
        self.set_aside_upload(ObjectStatus::Deleted, at, None);
        self.objects.retain(|known| known.object.version_id.is_some());
        for known in &mut self.objects {
            if known.status != ObjectStatus::Deleted {
                (known.status, known.since) = (ObjectStatus::Deleted, at);
            }
        }
        self.close_all_grants(GrantEnd::Deleted);
    }

    /// Moves the current upload to the objects that will be removed. One without a version then has the version `null_version`. `None`:
    /// it is replaced by an object without a version, or removed under its key.
    fn set_aside_upload(&mut self, status: ObjectStatus, at: Timestamp, null_version: Option<String>) {
        let Some(Upload { bytes, etag, version_id }) = self.upload.take() else { return };
        let Some(version_id) = version_id.or(null_version) else { return };
        let object = SourceObject {
            version_id: Some(version_id),
            bytes,
            etag,
            sequencer: String::new(),
            created_at: at,
            found: false,
            details: None,
            grant_id: None,
        };
        let recorded = self.version;
        self.objects.push(KnownObject { object, status, since: at, received_at: None, recorded });
    }

    fn forget(&mut self, object: &SourceObject) -> Option<KnownObject> {
        let index = self.objects.iter().position(|known| known.object.is_same(object))?;
        Some(self.objects.remove(index))
    }

    /// Without versions, an object replaces the one before it, which can no longer be accepted. An object that was found is
    /// newer than all that the log knows, and so is one whose notification comes after another was found: a decision is made
    /// only about an object that exists.
    fn forget_replaced(&mut self, newer: &SourceObject) {
        if newer.version_id.is_some() {
            return;
        }
        let is_newer = |known: &SourceObject| {
            known.found || newer.found || sequencer_order(&known.sequencer, &newer.sequencer).is_le()
        };
        self.objects.retain(|known| known.object.version_id.is_some() || !is_newer(&known.object));
    }

    fn record_arrival(&mut self, at: Timestamp, sequencer: String, etag: &str, found: bool) {
        self.sequencer = Some(sequencer);
        self.latest = Some(Arrival { etag: etag.to_owned(), at, found });
    }

    fn all_grants_used(&mut self, at: Timestamp) {
        self.close_all_grants(GrantEnd::Used);
        self.grants_used_before = Some(at);
    }
}
