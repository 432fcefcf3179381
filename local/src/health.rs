//! What `GET /healthz` says on one machine, beyond that the process responds.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Response, StatusCode, Uri};

use crate::outage::Outage;
use crate::s3::{Store, StoreError};

/// The health of the platform's object store and of its processing.
#[derive(Debug)]
pub(crate) struct Health {
    store: Store,
    outage: Arc<Outage>,
}

impl Health {
    /// The health of `store`, and whether there is an `outage`.
    pub(crate) fn new(store: Store, outage: Arc<Outage>) -> Self {
        Self { store, outage }
    }

    /// Adds to the API's response to a request what does not work, if this was asked for: that the object store refuses uploads, that
    /// videos cannot be processed. The response stays a success: other requests are still served, and a load balancer must not stop them.
    pub(crate) async fn add_to(&self, method: &Method, uri: &Uri, response: &mut Response<Bytes>) {
        let is_head = method == Method::HEAD;
        let is_asked = (is_head || method == Method::GET)
            && uri.path() == "/healthz"
            && response.status() == StatusCode::OK;
        if !is_asked {
            return;
        }
        let has_low_space = matches!(self.store.check_space(0).await, Err(StoreError::NoSpace { .. }));
        let storage = if has_low_space { r#","storage":"low-space""# } else { "" };
        let processing = if self.outage.is_ongoing() { r#","processing":"interrupted""# } else { "" };
        let body = format!(r#"{{"status":"ok"{storage}{processing}}}"#);
        if is_head {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        } else {
            *response.body_mut() = body.into();
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
            let health = Health::new(store.clone(), Arc::new(Outage::new(crate::clock::now())));
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
            let expected = if said.is_empty() { "15" } else { "37" };
            assert_eq!((length, head.body().len()), (Some(expected), 0));
            let others = [
                (Method::GET, "/openapi.json", StatusCode::OK),
                (Method::GET, "/healthz", StatusCode::BAD_REQUEST),
                (Method::OPTIONS, "/healthz", StatusCode::OK),
            ];
            for (method, uri, status) in others {
                assert!(answer(method, uri, status).await["storage"].is_null());
            }
            drop(health);
            let health = Health::new(store.clone(), Arc::new(Outage::ongoing()));
            let mut response = Response::new(Bytes::new());
            health.add_to(&Method::GET, &Uri::from_static("/healthz"), &mut response).await;
            let answered: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(
                (&answered["processing"], answered["storage"].is_null()),
                (&"interrupted".into(), said.is_empty())
            );
            drop(health);
            store.close().await;
        }
    }
}
