//! Verifying the hash chains of many streams at the same time.

use std::collections::HashMap;

use serde::Serialize;
use streamio_events::audit::{Finding, Verifier};
use streamio_events::commit::Commit;
use streamio_events::stream::StreamId;

/// The chains of streams, of which the commits are followed in the order of each stream. Holds some 200 bytes for each stream.
#[derive(Default)]
pub struct Chains {
    /// `None` after the first defect of a stream: what follows it cannot be judged.
    streams: HashMap<StreamId, Option<Verifier>>,
}

impl Chains {
    /// Follows the chain of the commit's stream. Returns the first defect of each stream.
    pub fn follow(&mut self, commit: &Commit) -> Result<(), Finding> {
        let stream = &commit.stream;
        let verifier = match self.streams.get_mut(stream) {
            Some(verifier) => verifier,
            None => self.streams.entry(stream.clone()).or_insert(Some(Verifier::new(stream.clone(), None))),
        };
        let followed = verifier.as_mut().map_or(Ok(()), |verifier| verifier.follow(commit));
        if followed.is_err() {
            *verifier = None;
        }
        followed
    }

    /// Notes that a commit of `stream` cannot be read. Returns whether it is the first defect of the stream.
    pub fn is_first_damage(&mut self, stream: StreamId) -> bool {
        !matches!(self.streams.insert(stream, None), Some(None))
    }

    /// The number of streams.
    pub fn count(&self) -> u64 {
        self.streams.len() as u64
    }
}

/// The result of a verification.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// The number of streams.
    pub streams: u64,
    /// The number of readable commits.
    pub commits: u64,
    /// The number of events in these commits.
    pub events: u64,
    /// The first defect of each stream, and the first wrong place of each project, in the order in which they were read.
    pub findings: Vec<String>,
}

impl Verification {
    /// Counts a readable commit, and follows it in `chains`.
    pub fn follow(&mut self, chains: &mut Chains, commit: &Commit) {
        self.commits += 1;
        self.events += commit.events.len() as u64;
        self.findings.extend(chains.follow(commit).err().map(|finding| finding.to_string()));
    }
}
