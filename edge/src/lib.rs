//! The API of Streamio: request, decision, response; and the signing of S3 and CloudFront URLs.

pub mod sign;
