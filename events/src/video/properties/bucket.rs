//! The bucket of the simulated video: uploads, their notifications, and checks of the bucket.

use std::collections::VecDeque;
use std::time::Duration;

use super::simulation::{BucketCheck, Simulation, grant_id, key};
use crate::timestamp::Timestamp;
use crate::video::decide::{self, Arrived, Conditions, Removal};
use crate::video::{NULL_VERSION, ObjectDetails, SourceObject, Video};

/// How long a multipart upload takes from its initiation to its completion.
pub(super) const MULTIPART: Duration = Duration::from_secs(30);

impl Simulation {
    pub(super) fn etag(&self, put: u8) -> String {
        match (self.is_same, self.is_multipart(put)) {
            (true, _) => "etag".to_owned(),
            (false, true) => format!("etag{put}-2"),
            (false, false) => format!("etag{put}"),
        }
    }

    /// The number of the upload with this entity tag, if all uploads have different ones.
    pub(super) fn number(etag: &str) -> u8 {
        etag.trim_start_matches("etag").trim_end_matches("-2").parse().unwrap()
    }

    /// Whether upload number `put` is a multipart upload: with grants for them, those with a number divisible by five are.
    pub(super) fn is_multipart(&self, put: u8) -> bool {
        self.has_multipart && put.is_multiple_of(5)
    }

    /// Uploads with a number divisible by three have another size.
    pub(super) fn bytes(put: u8) -> u64 {
        if put.is_multiple_of(3) { 11 } else { 10 }
    }

    /// Upload number `put`, from its notification.
    pub(super) fn notification(&self, put: u8) -> SourceObject {
        SourceObject {
            version_id: self.is_versioned.then(|| format!("v{put}")),
            bytes: Self::bytes(put),
            etag: self.etag(put),
            sequencer: format!("{put:02X}"),
            created_at: self.puts[&put],
            found: false,
            details: Some(ObjectDetails::default()),
            grant_id: self.names.as_ref().and_then(|names| names.get(&put)).cloned(),
        }
    }

    /// Upload number `put`, from a check of the bucket.
    fn listed(&self, put: u8) -> SourceObject {
        // A multipart upload that is found has the time of its initiation.
        let took = if self.is_multipart(put) { MULTIPART.as_secs().cast_signed() } else { 0 };
        let created_at = Timestamp::from_unix_seconds(self.puts[&put].unix_seconds() - took);
        SourceObject { sequencer: String::new(), found: true, created_at, ..self.notification(put) }
    }

    /// Adds upload number `put`, at the latest when the next higher number was uploaded.
    pub(super) fn put(&mut self, put: u8) {
        let before = self.puts.range(put..).next().map_or(self.now, |(_, at)| *at);
        self.puts.entry(put).or_insert(before);
        // Any grant that was recorded, or one of the next two.
        let named = grant_id(1 + u32::from(put) * 7 % (self.grants + 2));
        if let Some(names) = self.names.as_mut().filter(|_| !put.is_multiple_of(4)) {
            names.entry(put).or_insert(named);
        }
        let now = self.now;
        self.added.entry(put).or_insert(now);
    }

    pub(super) fn put_next(&mut self) -> u8 {
        let put = self.puts.last_key_value().map_or(1, |(last, _)| last + 1);
        self.put(put);
        put
    }

    /// An object arrives, by its notification or from a check of the bucket: as `streamio_core::uploads` does it.
    pub(super) fn arrive(&mut self, object: &SourceObject) {
        self.decide_known_before(object);
        let video = self.video();
        self.decide_object(&video, object);
    }

    /// The objects about which a decision is due come first.
    fn decide_known_before(&mut self, object: &SourceObject) {
        while let Some(earlier) = decide::undecided(&self.video(), self.now, &self.policy)
            && !earlier.is_same(object)
        {
            self.decide_known(&earlier);
        }
    }

    /// Decides about an object that the log knows, if it still exists. Otherwise it is rejected.
    pub(super) fn decide_known(&mut self, object: &SourceObject) {
        let video = self.video();
        let exists = self.stored_all().into_iter().any(|put| self.notification(put).is_same(object));
        let is_decided = if exists {
            self.decide_object(&video, object)
        } else {
            self.append(Some(video.version), decide::object_missing(&video, &key(), object))
        };
        assert!(is_decided, "a decision that is due is made");
    }

    /// Decides about an object by the state of `video`, which may be outdated. Returns whether a decision was appended.
    pub(super) fn decide_object(&mut self, video: &Video, object: &SourceObject) -> bool {
        let (project, policy) = (self.project(), self.policy.clone());
        let conditions =
            Conditions { project: &project, now: self.now, policy: &policy, limit_exceeded: None };
        let (decision, is_accepted) = match decide::object_arrived(video, &key(), object, &conditions) {
            Arrived::Accepted(decision) => (decision, true),
            Arrived::Received(decision) | Arrived::Rejected(decision, _) => (decision, false),
            Arrived::NeedsDetails => {
                let object = SourceObject { details: Some(ObjectDetails::default()), ..object.clone() };
                return self.decide_object(video, &object);
            }
            Arrived::Recorded => return false,
        };
        let is_appended = self.append(Some(video.version), decision);
        if is_accepted && is_appended {
            for known in video.objects.iter().map(|known| &known.object) {
                let arrived = decide::object_arrived(video, &key(), known, &conditions);
                // Within the precision of a listing, the order of two objects is not certain.
                let is_certain = !known.found && !object.found || known.precedes(object.created_at);
                let is_earlier = is_certain && known.order(object).is_lt() && !known.is_same(object);
                // Without versions, `object` has replaced it.
                let exists = known.version_id.is_some();
                assert!(
                    !(is_earlier && exists && matches!(arrived, Arrived::Accepted(_))),
                    "{known:?} was first, and {object:?} is accepted"
                );
            }
        }
        is_appended
    }

    pub(super) fn stored(&self) -> Option<u8> {
        self.puts.last_key_value().map(|(put, _)| *put).filter(|put| !self.removed.contains(put))
    }

    pub(super) fn remove_version(&mut self, video: &Video, removal: &Removal) {
        let version_id = &removal.version_id;
        let current = video.upload.as_ref().and_then(|upload| upload.version_id.as_ref());
        assert_ne!(current, Some(version_id), "the source of the video is removed");
        if version_id == NULL_VERSION {
            // A bucket without versions has none that replaces another.
            return;
        }
        self.removed.insert(version_id[1..].parse().unwrap());
    }

    /// The objects in RAW, the oldest first.
    pub(super) fn stored_all(&self) -> Vec<u8> {
        if self.is_versioned {
            self.puts.keys().filter(|put| !self.removed.contains(put)).copied().collect()
        } else {
            self.stored().into_iter().collect()
        }
    }

    pub(super) fn remove_unused(&mut self, video: &Video) {
        if let (Some(deletion), Some(put)) = (video.deletion_of_source(), self.stored())
            && deletion.etag == self.etag(put)
            && self.puts[&put] <= deletion.at
        {
            self.removed.insert(put);
        }
        let unused = video.unused_stable_keys();
        if unused.contains(&key().processed()) {
            self.stable_generation = None;
        }
        if unused.contains(&key().processed().poster()) {
            self.poster_generation = None;
        }
    }

    pub(super) fn check_bucket(&mut self, notification: Option<u8>) {
        if let Some(put) = notification {
            self.decide_known_before(&self.notification(put));
        }
        self.checks.push(BucketCheck { video: self.video(), stored: self.stored_all(), notification });
    }

    /// Decides after a bucket check, which may be long ago. Returns whether a decision was appended.
    pub(super) fn decide_check(&mut self, check: usize) -> bool {
        let Some(BucketCheck { video, stored, notification }) = self.checks.get(check) else { return false };
        let (mut video, stored, notification) = (video.clone(), stored.clone(), *notification);
        if let Some(put) = notification {
            return stored.contains(&put) && self.decide_object(&video, &self.notification(put));
        }
        let mut appended = false;
        let mut rest: VecDeque<u8> = stored.into();
        while let Some(put) = rest.pop_front() {
            let before = video.version;
            if self.decide_object(&video, &self.listed(put)) {
                (appended, video) = (true, self.video());
                if video.version != before + 1 {
                    // Others appended to the stream since the check: the bucket is checked again.
                    rest = self.stored_all().into();
                }
            }
        }
        let expired = decide::grants_expired(&video, self.now, &self.policy);
        self.decide(expired, &video) || appended
    }
}
