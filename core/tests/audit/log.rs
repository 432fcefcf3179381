//! A log with commits of several streams, and its tree.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use futures::executor::block_on;
use serde_json::json;
use streamio_core::audit::checkpoint::Checkpoint;
use streamio_core::audit::node_hash::NodeHash;
use streamio_core::audit::note::{NoteSigner, SignedNote};
use streamio_core::audit::proofs::{self, TlogProof};
use streamio_core::audit::tiles::Tile;
use streamio_core::audit::tree::RightEdge;
use streamio_core::ports::AdapterError;
use streamio_core::ports::tile_reader::TileReader;
use streamio_events::commit::{Commit, Head, NewCommit};
use streamio_events::event::RecordedEvent;
use streamio_events::id::CommitId;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

pub(crate) const ORIGIN: &str = "streamio.example/acme";

/// Tiles in memory.
#[derive(Default)]
struct Tiles(BTreeMap<Tile, Vec<u8>>);

#[async_trait]
impl TileReader for Tiles {
    async fn read(&self, tile: &Tile) -> Result<Option<Vec<u8>>, AdapterError> {
        Ok(self.0.get(tile).cloned())
    }
}

/// The commits of a project's feed.
pub(crate) struct Log {
    pub(crate) commits: Vec<Commit>,
}

impl Log {
    /// `size` commits of one or two events in eight streams.
    pub(crate) fn of(size: usize) -> Self {
        let streams: Vec<StreamId> = (0..7)
            .map(|shard| format!("grants/acme/20260102030400/{shard}"))
            .chain(["project/acme".to_owned()])
            .map(|stream| stream.parse().unwrap())
            .collect();
        Self { commits: chains(&streams, size) }
    }

    /// The commits as an export: JSON Lines, with commits of another project between them.
    pub(crate) fn export(&self) -> Vec<String> {
        let others = chains(&["project/zebra".parse().unwrap()], self.commits.len() / 10);
        let mut lines: Vec<_> =
            self.commits.iter().map(|commit| serde_json::to_string(commit).unwrap()).collect();
        for (place, other) in others.iter().enumerate() {
            lines.insert(place * 5, serde_json::to_string(other).unwrap());
        }
        lines
    }

    /// The tree of the first `size` commits.
    pub(crate) fn tree(&self, size: usize) -> Tree {
        let (mut edge, mut tiles) = (RightEdge::empty(), Tiles::default());
        for batch in self.commits[..size].chunks(1000) {
            let written = edge.append(batch.iter().map(|commit| commit.hash));
            tiles.0.extend(written.into_iter().map(|file| (file.tile, file.bytes)));
        }
        Tree { size: size as u64, root: edge.root(), tiles }
    }
}

/// `size` commits, each in the next of the streams.
fn chains(streams: &[StreamId], size: usize) -> Vec<Commit> {
    let mut heads: HashMap<&StreamId, Head> = HashMap::new();
    (0..size)
        .map(|number| {
            let stream = &streams[number % streams.len()];
            let head = heads.entry(stream).or_insert(Head::EMPTY);
            let commit = Commit::following(stream.clone(), *head, new_commit(number));
            *head = commit.head();
            commit
        })
        .collect()
}

/// A commit with one event or, the first of ten, two events whose data has what canonical JSON writes in a special way.
fn new_commit(number: usize) -> NewCommit {
    let at = Timestamp::from_unix_seconds(1_767_323_045 + i64::try_from(number).unwrap());
    let real = f64::from(u32::try_from(number).unwrap());
    let data = if number.is_multiple_of(10) {
        json!({
            "number": number,
            "fraction": real / 8.0 + 0.1,
            "small": (real + 0.5) * 1e-9,
            "none": null,
            "text": format!("„{number}“\u{1}\t\"\\/\u{7f}\u{2028}😀"),
            "\u{e000}": [true, {}, []],
            "😀": -1,
        })
    } else {
        json!({ "number": number })
    };
    let event = RecordedEvent { kind: "video.tested".to_owned(), version: 1, at, data, fact: None };
    let events = if number.is_multiple_of(10) { vec![event; 2] } else { vec![event] };
    NewCommit { id: CommitId::derived_from(&["audit test", &number.to_string()]), events, recorded_at: at }
}

/// The tree of some commits.
pub(crate) struct Tree {
    size: u64,
    root: NodeHash,
    tiles: Tiles,
}

impl Tree {
    pub(crate) fn checkpoint(&self, signer: &NoteSigner) -> SignedNote {
        Checkpoint::new(ORIGIN, self.size, self.root).unwrap().sign(&[signer]).unwrap()
    }

    /// The proof that commit `index` is in the tree.
    pub(crate) fn inclusion(&self, index: usize, signer: &NoteSigner) -> TlogProof {
        let proof = block_on(proofs::inclusion(&self.tiles, index as u64, self.size)).unwrap();
        TlogProof {
            extra: b"for the application".to_vec(),
            index: proof.index,
            path: proof.path,
            checkpoint: self.checkpoint(signer),
        }
    }

    /// The proof that the tree begins with the first `old` commits, in the form in which witnesses get it (C2SP `tlog-witness`).
    pub(crate) fn consistency(&self, old: usize, signer: &NoteSigner) -> String {
        let proof = block_on(proofs::consistency(&self.tiles, old as u64, self.size)).unwrap();
        let mut lines = vec![format!("old {old}")];
        lines.extend(proof.path.iter().map(ToString::to_string));
        format!("{}\n\n{}", lines.join("\n"), self.checkpoint(signer))
    }
}
