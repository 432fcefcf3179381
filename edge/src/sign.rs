//! Signing: S3 requests with AWS Signature Version 4, CloudFront URLs and cookies with RSA or ECDSA.
//!
//! Nothing here reads a clock, draws random bytes or does I/O: the time is a parameter (Unix seconds, as returned by
//! `Timestamp::unix_seconds()`), so results are reproducible. All of it compiles to wasm32.
//!
//! | task | item |
//! |---|---|
//! | a presigned URL to PUT or GET one object | [`s3::BucketSigner::presign`] |
//! | sign an S3 request that this process sends | [`s3::BucketSigner::sign`] |
//! | sign a request to another AWS service | [`sigv4::Signer::sign`] |
//! | sign a URL or cookies for the CDN | [`cloudfront::sign`] of a [`policy::Policy`] |
//! | verify a signed CDN URL | [`verify::verify`] |
//! | reuse one signature for identical policies | [`key::SharedSigner`] |
//! | CDN keys: parse, generate, rotate, verify | [`key::PrivateKey`], [`key::KeyPairs`], [`key::PublicKey`] |
//!
//! ```
//! use streamio_edge::sign::cloudfront;
//! use streamio_edge::sign::key::{HashAlgorithm, KeyKind, KeyPairs, PrivateKey};
//! use streamio_edge::sign::policy::{Policy, Resource};
//! use streamio_edge::sign::s3::{AddressStyle, Bucket, BucketSigner, ObjectRequest};
//! use streamio_edge::sign::sigv4::Credentials;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let now = 1_767_323_045;
//!
//! // Upload: the holder of this URL may PUT this object for 15 minutes, with exactly these headers.
//! let bucket = Bucket::new("http://127.0.0.1:9000", "us-east-1", "raw", AddressStyle::Path)?;
//! let signer = BucketSigner::new(bucket, Credentials::new("AKIDEXAMPLE", "secret")?);
//! let request = ObjectRequest::put("projects/acme/My clip.mov").header("content-type", "video/quicktime");
//! let upload = signer.presign(&request, 900, now)?;
//! assert!(upload.as_str().starts_with("http://127.0.0.1:9000/raw/projects/acme/My%20clip.mov?X-Amz-Algorithm="));
//!
//! // Playback: one signature serves the playlist's URL, the query of its segments, and cookies.
//! let keys = KeyPairs::new("K1", [("K1".to_owned(), PrivateKey::generate(KeyKind::P256, [7; 32]))])?;
//! let files = Resource::wildcard("https://cdn.example/processed/acme/clip.mov.hls/*")?;
//! let signed = cloudfront::sign(&keys, HashAlgorithm::Sha256, Policy::custom(files, now + 3600)?).await?;
//! let playlist = signed.url_for("https://cdn.example/processed/acme/clip.mov.hls/master.m3u8")?;
//! assert!(playlist.as_str().ends_with("&Key-Pair-Id=K1&Hash-Algorithm=SHA256"));
//! assert_eq!(signed.cookies().len(), 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod cloudfront;
pub mod key;
pub mod policy;
pub mod s3;
mod signed_url;
pub mod sigv4;
#[cfg(feature = "keys")]
pub mod verify;

pub use signed_url::SignedUrl;
