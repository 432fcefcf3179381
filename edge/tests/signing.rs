//! The laws of `streamio_edge::sign`, checked against other implementations: the `aws-sigv4` crate for S3, AWS's
//! signer for Node for CloudFront.

#[path = "signing/cloudfront.rs"]
mod cloudfront;
#[path = "signing/encoding.rs"]
mod encoding;
#[path = "signing/keys.rs"]
mod keys;
#[path = "signing/node.rs"]
mod node;
#[path = "signing/requests.rs"]
mod requests;
#[path = "signing/shared_signer.rs"]
mod shared_signer;
#[path = "signing/sigv4.rs"]
mod sigv4;
#[path = "signing/verify.rs"]
mod verify;
