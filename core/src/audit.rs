//! The transparency log of a project: a Merkle tree (RFC 6962) over the hashes of its commits, in the order of its feed.
//!
//! A commit's hash binds its stream, its sequence number, its events and the commit before it. The entry of the log is the 32 bytes of that
//! hash, so the hash of a leaf is SHA-256(0x00 || hash of the commit). A party that keeps a checkpoint can later
//! prove that a commit was in the log at that time, and that nothing recorded before was changed, removed or inserted.
//!
//! | module | contents | format |
//! |---|---|---|
//! | [`node_hash`] | the hashes of leaves and nodes | RFC 6962 |
//! | [`tiles`] | the names and contents of the files that store a tree | C2SP `tlog-tiles` v0.1.0 |
//! | [`stored`] | reads tiles, and checks their form | |
//! | [`tree`] | appends leaves: computes the tiles to write and the new root | |
//! | [`proofs`] | inclusion and consistency: computes proofs from tiles, verifies them, writes and reads them as text | RFC 6962; C2SP `tlog-proof@v1` |
//! | [`note`] | text with Ed25519 signatures, and the keys | C2SP `signed-note` v1.0.0 |
//! | [`checkpoint`] | the size and root of a tree, as a signed note | C2SP `tlog-checkpoint` v1.0.0 |
//! | [`keys`] | the keys of the projects' logs, derived from a secret | |
//! | [`integration`] | brings a tree up to date with the log: writes tiles, then signs and stores a checkpoint | |
//! | [`recording`] | records checkpoints as events, at most one in an hour | |
//! | [`comparison`] | compares stored tiles and a checkpoint with the commits, and names the first difference | |
//!
//! `tlog-proof` has no version yet; this is the text of commit 5ba5ee8 of the repository C2SP/C2SP. Nothing here reads a clock or draws
//! random bytes, and the log and the stores are reached through ports: the same commits give the same tiles, roots and signatures.

pub mod checkpoint;
pub mod comparison;
mod decimal;
pub mod integration;
pub mod keys;
pub mod node_hash;
pub mod note;
pub mod proofs;
pub mod recording;
pub mod stored;
#[cfg(test)]
mod test_tree;
pub mod tiles;
pub mod tree;
