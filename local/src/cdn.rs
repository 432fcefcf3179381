//! The CDN of the one-machine platform: it serves the objects of one bucket to viewers that carry a valid CloudFront
//! signed URL or signed cookies, and nobody else.
//!
//! What a signer and a viewer rely on:
//!
//! 1. **The enforcement is CloudFront's as documented** ([`authorize`]): canned and custom policies, RSA-2048 and
//!    ECDSA P-256 key pairs, SHA-1 and SHA-256. Query parameters win over cookies. Everything that is not provably
//!    right is refused with 403, and a refused viewer never learns whether an object exists. This is written from the
//!    documentation alone and shares no code with the signer of the edge, so that each tests the other.
//! 2. **URLs are compared as sent.** The resource that a policy names is matched against the base URL followed by the
//!    path and query of the request, byte for byte: no decoding, no normalisation. Only afterwards the path is
//!    percent-decoded, once, to the key.
//! 3. **One answer is one version of an object.** An object that is replaced while it is being sent is sent to its
//!    end as it was.
//! 4. **Playlists carry their authorisation on** ([`playlist`]): an HLS playlist that was asked for with a custom
//!    policy in the query names its own URIs with the same parameters, so that players which cannot add parameters to
//!    the URLs of segments can play it.
//!
//! The viewer's address is the peer's of the connection: no header can claim another.

mod answer;
pub mod authorize;
mod base_url;
mod conditional;
mod config;
mod content;
mod credentials;
mod object_path;
mod origin;
pub mod playlist;
pub mod policy;
mod range;
mod refusal;
mod representation;
mod serve;
mod signature;
mod trusted_keys;

pub use answer::Cdn;
pub use base_url::{BaseUrl, InvalidBaseUrl};
pub use config::{CdnConfig, Clock};
pub use credentials::PolicyQuery;
pub use origin::{ObjectFacts, Origin, OriginObject, StoreOrigin};
pub use serve::serve;
pub use signature::HashAlgorithm;
pub use trusted_keys::{InvalidKeyPair, TrustedKeys};
