//! The edge's own address, as its clients reach it.

use http::header::HOST;
use http::{HeaderMap, Uri};

use crate::base_url::BaseUrl;
use crate::problem::Problem;
use crate::services::Services;

/// The base URL of the API, without a slash at its end: the configured one, otherwise the origin of the request.
///
/// A Worker knows the whole URL of a request. A server knows only the `Host` header and no scheme; it is then taken to be reached by
/// plain HTTP, so a server behind a proxy with TLS has to be configured.
pub(crate) fn public_url(services: &Services, uri: &Uri, headers: &HeaderMap) -> Result<String, Problem> {
    if let Some(configured) = &services.public_url {
        return Ok(configured.clone());
    }
    let origin = if let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) {
        [scheme, "://", authority.as_str()].concat()
    } else {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.ok_or_else(|| Problem::parameter("host", "is missing: send the header `Host`"))?;
        ["http://", host].concat()
    };
    // Becomes part of playlists, so it must be nothing but an origin.
    let origin = BaseUrl::parse(&origin).filter(|url| url.path().is_empty()).map(|url| url.origin());
    origin.ok_or_else(|| Problem::parameter("host", "is not a host with an optional port"))
}
