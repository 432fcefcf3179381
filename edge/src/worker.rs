//! The edge as a Cloudflare Worker: everything that knows the runtime, and nothing that knows the API.
//!
//! JavaScript (`edge/worker/index.js`) receives the runtime's events and calls the exports of this module: requests go
//! through [`handle`] as plain text and bytes, because a web `Request` read from here costs more than all the rest of
//! the work; queue and cron events come as the runtime's objects.
//!
//! | room | what is in it |
//! |---|---|
//! | [`isolate`] | the API of this isolate, made once from the Worker's settings |
//! | [`exchange`] | a request's head and body from JavaScript, the answer back |
//! | [`invocation`] | which event is being worked on, for work that outlives its answer |
//! | [`runtime`], [`host`] | the runtime's objects, the functions of `edge/worker/host.js` |
//! | [`fetch`], [`grants`], [`signer`], [`tenants`] | the ports' adapters |
//! | [`random`], [`log`] | randomness in stock, log lines |
//! | [`recovery`] | what happens after a panic |
//!
//! One isolate serves many requests at the same time, in turn, on one thread. A request's objects (streams, promises
//! of fetches) belong to it and must not be touched for another one; bindings may be.

mod exchange;
mod fetch;
mod grants;
mod host;
mod invocation;
mod isolate;
mod log;
#[cfg(feature = "probes")]
pub mod probes;
mod random;
mod recovery;
mod runtime;
mod signer;
mod tenants;

use std::future::Future;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker};

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::future_to_promise;

use self::grants::Undelivered;
use self::invocation::Invocation;
use self::isolate::Isolate;
use self::runtime::{Context, MessageBatch};

/// The names of the headers that [`handle`] takes, in their order, separated by commas.
#[wasm_bindgen(js_name = requestHeaders)]
pub fn request_headers() -> String {
    exchange::header_names()
}

/// Answers a request: with a `Response`, with an array of one and of the promise that it must wait for, or with the
/// promise of either where something outside must answer first.
///
/// `head` is what [`exchange::request`] reads, `now` is in milliseconds of the Unix epoch.
#[wasm_bindgen]
pub fn handle(env: JsValue, context: Context, head: &str, body: Vec<u8>, now: f64) -> JsValue {
    let request = exchange::request(head, body);
    let invocation = Invocation::of_request(context);
    now_or_later(Rc::clone(&invocation).run(async move {
        match Isolate::get(&env) {
            Ok(isolate) => isolate.answer(request, now, &invocation).await,
            Err(invalid) => isolate::misconfigured(invalid, &request),
        }
    }))
}

/// The answer to a request that was under way when the instance of this module ended. `head` as for [`handle`].
#[wasm_bindgen]
pub fn fail(env: &JsValue, head: &str) -> JsValue {
    let request = exchange::request(head, Vec::new());
    match Isolate::get(env) {
        Ok(isolate) => isolate.failed(&request),
        Err(invalid) => isolate::misconfigured(invalid, &request),
    }
}

/// The answer in place of one whose promise was broken: its grant is not accepted. `head` as for [`handle`].
#[wasm_bindgen(js_name = notRecorded)]
pub fn not_recorded(env: &JsValue, head: &str) -> JsValue {
    let request = exchange::request(head, Vec::new());
    match Isolate::get(env) {
        Ok(isolate) => isolate.not_recorded(&request),
        Err(invalid) => isolate::misconfigured(invalid, &request),
    }
}

/// Most requests need nothing from outside: a promise would cost them more than their signature.
fn now_or_later(future: impl Future<Output = JsValue> + 'static) -> JsValue {
    let mut future = Box::pin(future);
    match future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        // It is polled once more, with a waker that counts.
        Poll::Pending => future_to_promise(async move { Ok(future.await) }).into(),
    }
}

/// Takes a batch of the queue `GRANTS`. What is neither acknowledged nor put back in it comes again.
#[wasm_bindgen]
pub async fn queue(batch: MessageBatch, env: JsValue) -> Result<(), JsValue> {
    let delivered = match Isolate::get(&env) {
        Ok(isolate) => grants::deliver(&isolate, &batch).await,
        Err(invalid) => Err(Undelivered::Misconfigured(invalid)),
    };
    delivered.map_err(|undelivered| match undelivered {
        Undelivered::Host(error) => error,
        Undelivered::Misconfigured(invalid) => {
            log::misconfigured(&invalid.problems, None);
            JsValue::from("the Worker's settings are invalid")
        }
    })
}

/// Does what is to be done from time to time.
#[wasm_bindgen]
pub async fn scheduled(env: JsValue) {
    match Isolate::get(&env) {
        Ok(isolate) => isolate.check_roads().await,
        Err(invalid) => log::misconfigured(&invalid.problems, None),
    }
}
