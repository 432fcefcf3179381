//! Properties of `streamio_edge::sign`, checked against other implementations: the `aws-sigv4` crate for S3, AWS's
//! CloudFront signer for Node.

mod cloudfront;
mod encoding;
mod keys;
mod node;
mod requests;
mod shared_signer;
mod sigv4;
mod verify;
