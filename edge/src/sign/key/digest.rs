use super::HashAlgorithm;

/// The digest of `message`. SHA-1 is supported because it is CloudFront's default.
pub(super) fn digest(hash: HashAlgorithm, message: &[u8]) -> Vec<u8> {
    match hash {
        HashAlgorithm::Sha1 => <sha1::Sha1 as sha1::Digest>::digest(message).to_vec(),
        HashAlgorithm::Sha256 => <sha2::Sha256 as sha2::Digest>::digest(message).to_vec(),
    }
}
