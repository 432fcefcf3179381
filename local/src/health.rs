//! What `GET /healthz` says on one machine, beyond that the process responds.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Response, StatusCode, Uri};

use crate::s3::{Store, StoreError};

/// The response while less than the reserve of free space is left. It is a success: requests other than uploads are still served, and a
/// load balancer must not stop them.
const LOW_SPACE: &[u8] = br#"{"status":"ok","storage":"low-space"}"#;

/// The health of the platform's object store.
#[derive(Debug)]
pub(crate) struct Health {
    store: Store,
}

impl Health {
    /// The health of `store`.
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Adds to the API's response to a request that the object store refuses uploads, if it does and this was asked for.
    pub(crate) async fn add_to(&self, method: &Method, uri: &Uri, response: &mut Response<Bytes>) {
        let is_head = method == Method::HEAD;
        let is_asked = (is_head || method == Method::GET)
            && uri.path() == "/healthz"
            && response.status() == StatusCode::OK;
        if !is_asked || !matches!(self.store.check_space(0).await, Err(StoreError::NoSpace { .. })) {
            return;
        }
        if is_head {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(LOW_SPACE.len()));
        } else {
            *response.body_mut() = Bytes::from_static(LOW_SPACE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::StoreOptions;

    #[tokio::test]
    async fn low_space_is_stated_while_the_object_store_refuses_uploads_and_nowhere_else() {
        let scratch = tempfile::tempdir().unwrap();
        for (available, said) in [(255 << 20, "low-space"), (256 << 20, "")] {
            let available_space = match available >> 20 {
                255 => |_: &std::path::Path| Ok(255 << 20),
                _ => |_: &std::path::Path| Ok(256 << 20),
            };
            let options = StoreOptions { available_space, ..StoreOptions::default() };
            let store = Store::open(scratch.path(), options).await.unwrap();
            let health = Health::new(store.clone());
            let answer = async |method: Method, uri: &'static str, status: StatusCode| {
                let mut response = Response::new(Bytes::from_static(b"{\"status\":\"ok\"}"));
                *response.status_mut() = status;
                health.add_to(&method, &Uri::from_static(uri), &mut response).await;
                serde_json::from_slice::<serde_json::Value>(response.body()).unwrap()
            };
            let answered = answer(Method::GET, "/healthz?x=1", StatusCode::OK).await;
            assert_eq!(answered["status"], "ok");
            assert_eq!(answered["storage"].as_str().unwrap_or_default(), said);
            let mut head = Response::new(Bytes::new());
            health.add_to(&Method::HEAD, &Uri::from_static("/healthz"), &mut head).await;
            let length = head.headers().get("content-length").map(|length| length.to_str().unwrap());
            assert_eq!((length, head.body().len()), ((!said.is_empty()).then_some("37"), 0));
            let others = [
                (Method::GET, "/openapi.json", StatusCode::OK),
                (Method::GET, "/healthz", StatusCode::BAD_REQUEST),
                (Method::OPTIONS, "/healthz", StatusCode::OK),
            ];
            for (method, uri, status) in others {
                assert!(answer(method, uri, status).await["storage"].is_null());
            }
            drop(health);
            store.close().await;
        }
    }
}
