//! Calls about the transparency logs.

use std::sync::Arc;

use streamio_events::commit::Commit;
use streamio_events::home::{AuditCall, AuditResult, CommitProof, HomeError, Page};
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::EventLog;
use streamio_events::stream::StreamId;

use crate::audit::checkpoint::{Checkpoint, CheckpointError};
use crate::audit::keys::AuditKeys;
use crate::audit::note::SignedNote;
use crate::audit::proofs::{self, TlogProof};
use crate::audit::tiles::Tile;
use crate::ports::project_feed::FeedPlaces;
use crate::ports::tile_store::{TileStore, TileStores};

/// What the home region needs for the transparency logs.
#[derive(Clone)]
pub struct AuditPorts {
    /// The tiles and checkpoints.
    pub trees: Arc<dyn TileStores>,
    /// The places of commits, which are the indexes of the leaves.
    pub places: Arc<dyn FeedPlaces>,
    /// The keys that sign checkpoints.
    pub keys: AuditKeys,
}

/// Serves the calls of one project.
pub(super) struct Audit<'a> {
    pub(super) log: &'a dyn EventLog,
    pub(super) ports: &'a AuditPorts,
    pub(super) project_id: &'a ProjectId,
}

impl Audit<'_> {
    pub(super) async fn serve(&self, call: &AuditCall) -> Result<AuditResult, HomeError> {
        match call {
            AuditCall::Checkpoint => {
                let tree = self.tree();
                Ok(AuditResult::Checkpoint(self.checkpoint(&*tree).await?.to_string()))
            }
            AuditCall::PublicKey => {
                let signer = self.ports.keys.signer(self.project_id);
                Ok(AuditResult::PublicKey(signer.verifier_key().to_string()))
            }
            AuditCall::Tile { path } => {
                let tile: Tile = path.parse().map_err(|_| HomeError::NotFound)?;
                let bytes = self.tree().read(&tile).await.map_err(unavailable)?;
                bytes.map(AuditResult::Tile).ok_or(HomeError::NotFound)
            }
            AuditCall::VideoProof { video_id, after, limit } => {
                let page = self.video_proof(video_id, after.as_deref(), usize::from(*limit)).await?;
                Ok(AuditResult::VideoProof(page))
            }
        }
    }

    fn tree(&self) -> Arc<dyn TileStore> {
        self.ports.trees.of_project(self.project_id)
    }

    /// The last checkpoint.
    async fn checkpoint(&self, tree: &dyn TileStore) -> Result<SignedNote, HomeError> {
        let Some(note) = tree.checkpoint().await.map_err(unavailable)? else {
            let text = "The project has no checkpoint yet; try again in some seconds.".to_owned();
            return Err(HomeError::Conflict { text });
        };
        note.parse().map_err(|error| HomeError::Failed { source: CheckpointError::from(error).into() })
    }

    /// The proofs of the video's commits. A cursor is the version of the last event before the page, in decimal digits.
    async fn video_proof(
        &self,
        video_id: &VideoId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<CommitProof>, HomeError> {
        let before: u64 = after.map_or(Ok(0), |text| text.parse().map_err(|_| HomeError::InvalidCursor))?;
        let from = before.checked_add(1).ok_or(HomeError::InvalidCursor)?;
        let stream = StreamId::Video(self.project_id.clone(), video_id.clone());
        let page = self.log.read(&stream, from, limit).await.map_err(HomeError::because_of)?;
        if page.commits.is_empty() && from == 1 {
            return Err(HomeError::NotFound);
        }
        let tree = self.tree();
        // Without a checkpoint the commits are there, and their proofs are not yet.
        let checkpoint = match self.checkpoint(&*tree).await {
            Ok(note) => Some(self.verified(note)?),
            Err(HomeError::Conflict { .. }) => None,
            Err(error) => return Err(error),
        };
        let mut data = Vec::with_capacity(page.commits.len());
        for commit in &page.commits {
            data.push(self.proof(&*tree, checkpoint.as_ref(), commit).await?);
        }
        Ok(Page { data, next: page.next.map(|next| (next - 1).to_string()) })
    }

    fn verified(&self, note: SignedNote) -> Result<(SignedNote, Checkpoint), HomeError> {
        let signer = self.ports.keys.signer(self.project_id);
        let checkpoint = Checkpoint::verify(&note, std::slice::from_ref(signer.verifier_key()));
        let checkpoint = checkpoint.map_err(|error| HomeError::Failed { source: error.into() })?;
        Ok((note, checkpoint))
    }

    async fn proof(
        &self,
        tree: &dyn TileStore,
        checkpoint: Option<&(SignedNote, Checkpoint)>,
        commit: &Commit,
    ) -> Result<CommitProof, HomeError> {
        let place = self.ports.places.place(commit).await.map_err(HomeError::because_of)?;
        let proof = match checkpoint {
            Some((note, checkpoint)) if place < checkpoint.size() => {
                let proof = proofs::inclusion(tree, place, checkpoint.size()).await.map_err(unavailable)?;
                let proof =
                    TlogProof { extra: Vec::new(), index: place, path: proof.path, checkpoint: note.clone() };
                Some(proof.to_string())
            }
            _ => None,
        };
        Ok(CommitProof {
            stream: commit.stream.clone(),
            first: commit.first,
            last: commit.last(),
            place,
            hash: commit.hash,
            proof,
        })
    }
}

fn unavailable(source: impl Into<crate::ports::AdapterError>) -> HomeError {
    HomeError::Unavailable { source: source.into() }
}
