//! An independent signer: implements CloudFront's documentation with the `rsa` and `p256` crates.

use std::fmt::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::EncodePublicKey as _;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rsa::pkcs8::EncodePublicKey as _;
use rsa::sha2::{Digest as _, Sha256};
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use sha1::Sha1;
use streamio_local::cdn::{HashAlgorithm, TrustedKeys};

pub(crate) const RSA: &str = "KRSA0000000001";
pub(crate) const P256: &str = "KECDSA00000002";

/// A second trusted key pair of the same kind as [`P256`].
pub(crate) const OTHER_P256: &str = "KECDSA00000003";

static RSA_KEY: LazyLock<RsaPrivateKey> =
    LazyLock::new(|| RsaPrivateKey::new(&mut ChaCha20Rng::seed_from_u64(1), 2048).unwrap());

fn p256_key(id: &str) -> SigningKey {
    let seed = if id == OTHER_P256 { 9 } else { 7 };
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

/// The ids and public keys (PEM) of all key pairs.
pub(crate) fn public_keys() -> Vec<(&'static str, String)> {
    let p256 = |id| {
        let key = *p256_key(id).verifying_key();
        p256::PublicKey::from(key).to_public_key_pem(p256::pkcs8::LineEnding::LF).unwrap()
    };
    let rsa = RSA_KEY.to_public_key().to_public_key_pem(rsa::pkcs8::LineEnding::LF).unwrap();
    vec![(RSA, rsa), (P256, p256(P256)), (OTHER_P256, p256(OTHER_P256))]
}

pub(crate) fn trusted_keys() -> TrustedKeys {
    TrustedKeys::from_pem(public_keys()).unwrap()
}

/// Signs with one key pair and one hash algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signer {
    pub(crate) key_pair_id: &'static str,
    pub(crate) hash: HashAlgorithm,
}

pub(crate) const ALL: [Signer; 4] = [
    Signer { key_pair_id: RSA, hash: HashAlgorithm::Sha1 },
    Signer { key_pair_id: RSA, hash: HashAlgorithm::Sha256 },
    Signer { key_pair_id: P256, hash: HashAlgorithm::Sha1 },
    Signer { key_pair_id: P256, hash: HashAlgorithm::Sha256 },
];

/// The fastest, for tests that are not about signatures.
pub(crate) const ANY: Signer = ALL[3];

pub(crate) fn url_safe(bytes: &[u8]) -> String {
    STANDARD.encode(bytes).replace('+', "-").replace('=', "_").replace('/', "~")
}

/// A custom policy. Without `from` and `cidr` it is also the text of a canned policy.
pub(crate) fn policy(resource: &str, before: i64, from: Option<i64>, cidr: Option<&str>) -> String {
    let mut text = format!(
        r#"{{"Statement":[{{"Resource":"{resource}","Condition":{{"DateLessThan":{{"AWS:EpochTime":{before}}}"#
    );
    if let Some(from) = from {
        write!(text, r#","DateGreaterThan":{{"AWS:EpochTime":{from}}}"#).unwrap();
    }
    if let Some(cidr) = cidr {
        write!(text, r#","IpAddress":{{"AWS:SourceIp":"{cidr}"}}"#).unwrap();
    }
    text + "}}]}"
}

impl Signer {
    pub(crate) fn signature(self, text: &str) -> String {
        let text = text.as_bytes();
        let (digest, padding) = match self.hash {
            HashAlgorithm::Sha1 => (Sha1::digest(text).to_vec(), Pkcs1v15Sign::new::<Sha1>()),
            HashAlgorithm::Sha256 => (Sha256::digest(text).to_vec(), Pkcs1v15Sign::new::<Sha256>()),
        };
        if self.key_pair_id == RSA {
            return url_safe(&RSA_KEY.sign(padding, &digest).unwrap());
        }
        let signature: DerSignature = p256_key(self.key_pair_id).sign_prehash(&digest).unwrap();
        url_safe(signature.as_bytes())
    }

    fn hash_parameter(self) -> &'static str {
        match self.hash {
            HashAlgorithm::Sha1 => "",
            HashAlgorithm::Sha256 => "&Hash-Algorithm=SHA256",
        }
    }

    /// The parameters that allow `url` (including its query) until `expires`.
    pub(crate) fn canned(self, url: &str, expires: i64) -> String {
        let signature = self.signature(&policy(url, expires, None, None));
        let (id, hash) = (self.key_pair_id, self.hash_parameter());
        format!("Expires={expires}&Signature={signature}&Key-Pair-Id={id}{hash}")
    }

    /// The parameters for a custom policy.
    pub(crate) fn custom(self, policy: &str) -> String {
        let signature = self.signature(policy);
        let (id, hash) = (self.key_pair_id, self.hash_parameter());
        format!("Policy={}&Signature={signature}&Key-Pair-Id={id}{hash}", url_safe(policy.as_bytes()))
    }
}

/// `url` with parameters added to its query.
pub(crate) fn signed(url: &str, parameters: &str) -> String {
    format!("{url}{}{parameters}", if url.contains('?') { '&' } else { '?' })
}

/// The value of a `Cookie` header with the parameters.
pub(crate) fn cookies(parameters: &str) -> String {
    parameters.split('&').map(|parameter| format!("CloudFront-{parameter}")).collect::<Vec<_>>().join("; ")
}
