//! The CDN of the one-machine platform. It serves the objects of one bucket to viewers that have a valid CloudFront
//! signed URL or signed cookies, and refuses all others.
//!
//! Guarantees:
//!
//! 1. **Access is controlled as CloudFront documents it** ([`authorize`]): canned and custom policies, RSA-2048 and
//!    ECDSA P-256 key pairs, SHA-1 and SHA-256. Query parameters have precedence over cookies. A request that is not
//!    proven to be allowed is refused with 403, and the response does not reveal whether the object exists. This is
//!    implemented from the documentation alone and shares no code with the signer of the edge, so that each tests the
//!    other.
//! 2. **URLs are compared as sent.** The resource of a policy is matched against the base URL followed by the path and
//!    query of the request, byte for byte, without decoding or normalisation. The path is percent-decoded to the key
//!    afterwards, exactly once.
//! 3. **A response is one version of an object**, even if the object is replaced while it is being sent.
//! 4. **Objects are served as they are stored**, playlists too, as by CloudFront. Players get playlists with signed URIs from the
//!    edge (`GET /play/…`).
//!
//! The viewer's address is the peer address of the connection. Headers cannot change it.

pub mod authorize;
mod base_url;
mod canned_policy;
mod conditional;
mod config;
mod content_headers;
mod credentials;
mod denied;
mod handler;
mod object_path;
mod origin;
pub mod policy;
mod range;
mod refusal;
mod representation;
mod serve;
mod signature;
#[cfg(feature = "testing")]
pub mod testing;
mod trusted_keys;

pub use base_url::{BaseUrl, InvalidBaseUrl};
pub use config::{CdnConfig, Clock};
pub use handler::Cdn;
pub use origin::{ObjectMetadata, Origin, OriginObject, StoreOrigin};
pub use serve::serve;
pub use signature::HashAlgorithm;
pub use trusted_keys::{InvalidKeyPair, TrustedKeys};
