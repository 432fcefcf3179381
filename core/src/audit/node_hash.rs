//! The hashes of a Merkle tree's leaves and nodes (RFC 6962, section 2.1).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The SHA-256 of a leaf or node. Its text form is base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeHash([u8; 32]);

impl NodeHash {
    /// The length in bytes.
    pub const BYTES: usize = 32;

    /// The root of a tree without leaves: the SHA-256 of no bytes.
    pub const EMPTY_TREE: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
        0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);

    /// Returns the hash of the leaf with this entry.
    pub fn of_leaf(entry: &[u8]) -> Self {
        Self(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
    }

    /// Returns the hash of the node with these children.
    pub fn of_children(left: &Self, right: &Self) -> Self {
        let mut node = [1; 1 + 2 * Self::BYTES];
        node[1..=Self::BYTES].copy_from_slice(&left.0);
        node[1 + Self::BYTES..].copy_from_slice(&right.0);
        Self(Sha256::digest(node).into())
    }

    /// Returns the root of the subtree over adjacent subtrees of equal size, of which only the last one may be smaller. Of no subtrees it is
    /// [`Self::EMPTY_TREE`].
    pub fn over(mut nodes: Vec<Self>) -> Self {
        while nodes.len() > 1 {
            let pairs = nodes.len() / 2;
            for pair in 0..pairs {
                nodes[pair] = Self::of_children(&nodes[2 * pair], &nodes[2 * pair + 1]);
            }
            if nodes.len() % 2 == 1 {
                nodes[pairs] = nodes[nodes.len() - 1];
            }
            nodes.truncate(nodes.len().div_ceil(2));
        }
        nodes.first().copied().unwrap_or(Self::EMPTY_TREE)
    }

    /// Returns the hash with these bytes.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Display for NodeHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for NodeHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "NodeHash({self})")
    }
}

/// A text that is not the base64 of 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is the base64 of 32 bytes, with padding")]
pub struct InvalidHash;

impl FromStr for NodeHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let bytes = STANDARD.decode(text).map_err(|_| InvalidHash)?;
        Ok(Self(bytes.try_into().map_err(|_| InvalidHash)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The leaves of the reference tree of Certificate Transparency, and the roots over the first one, two, … of them.
    const REFERENCE: [(&str, &str); 8] = [
        ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
        ("3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
        ("40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
        ("5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
        (
            "606162636465666768696a6b6c6d6e6f",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ),
    ];

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn the_roots_of_the_reference_tree_are_computed() {
        let leaves = REFERENCE.map(|(entry, _)| NodeHash::of_leaf(&hex(entry)));
        for (index, (_, root)) in REFERENCE.iter().enumerate() {
            assert_eq!(NodeHash::over(leaves[..=index].to_vec()).as_bytes().as_slice(), hex(root), "{index}");
        }
    }

    #[test]
    fn a_tree_without_leaves_has_the_hash_of_no_bytes() {
        assert_eq!(NodeHash::EMPTY_TREE.as_bytes(), &<[u8; 32]>::from(Sha256::digest([])));
        assert_eq!(NodeHash::over(Vec::new()), NodeHash::EMPTY_TREE);
    }

    #[test]
    fn a_hash_has_one_spelling() {
        let text = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(text.parse(), Ok(NodeHash::EMPTY_TREE));
        assert_eq!(NodeHash::EMPTY_TREE.to_string(), text);
        for other in [
            "",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
            "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hS",
        ] {
            assert_eq!(other.parse::<NodeHash>(), Err(InvalidHash), "{other:?}");
        }
    }
}
