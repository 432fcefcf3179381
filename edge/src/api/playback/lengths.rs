//! The lengths of signed URLs, known before they are signed.

use streamio_events::event::PlaybackGranted;

use super::response::{InvalidGrant, policy};
use super::target::Target;
use crate::cdn_url;
use crate::edge::MAX_URI_BYTES;
use crate::services::Services;

/// The longest URL that CloudFront accepts, in bytes:
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html>.
const MAX_CDN_URL_BYTES: usize = 8 * 1024;

/// The longest name of a file in a stream's folder, in bytes. Source keys are limited so that it fits into an object key.
const MAX_NAME_BYTES: usize = 96;

/// The longest signature, in base64: that of an RSA key of 2,048 bits.
const MAX_SIGNATURE_BYTES: usize = 344;

/// What a query has besides the policy: the signature, the id of the key pair (at most 64 bytes), and the names.
const MAX_PARAMETER_BYTES: usize =
    MAX_SIGNATURE_BYTES + 64 + "Policy=&Signature=&Key-Pair-Id=&Hash-Algorithm=SHA256".len();

/// What the query of a playlist has in addition if media files are limited to a network.
const MAX_LIMIT_BYTES: usize = MAX_SIGNATURE_BYTES + "&Media-Ip=255.255.255.255/32&Media-Signature=".len();

/// What to do if the URLs of a grant would be too long.
pub(super) const ADVICE: &str = "is so long that the CDN would refuse the signed URLs of its files: upload the video under a shorter name";

/// Whether the CDN and the edge accept all URLs of the grant, whatever the names of a stream's files are.
pub(super) fn fit(
    services: &Services,
    granted: &PlaybackGranted,
    target: &Target,
) -> Result<bool, InvalidGrant> {
    let policy = policy(services, granted, target)?;
    // A canned policy has only its expiry in the URL.
    let policy_bytes =
        if policy.is_canned() { "Expires=2147483647".len() } else { in_base64(policy.to_json().len()) };
    let query_bytes = 1 + policy_bytes + MAX_PARAMETER_BYTES;
    let url_bytes = |key: &str| cdn_url::of_key(&services.cdn_base_url, key).len();
    Ok(match target {
        Target::File(key) => url_bytes(key.as_str()) + query_bytes <= MAX_CDN_URL_BYTES,
        Target::Stream(video) => {
            let folder = video.hls_prefix();
            let at_edge = "/play".len() + cdn_url::of_key("", &folder).len() + MAX_NAME_BYTES;
            // The policy of the master playlist has its name in place of the `*`.
            let for_playlists = query_bytes + in_base64(MAX_NAME_BYTES) + MAX_LIMIT_BYTES;
            url_bytes(&folder) + MAX_NAME_BYTES + query_bytes <= MAX_CDN_URL_BYTES
                && at_edge + for_playlists <= MAX_URI_BYTES
        }
    })
}

/// The length of `bytes` in base64.
fn in_base64(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}
