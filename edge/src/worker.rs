//! The edge as a Cloudflare Worker, on the crate [`worker`](https://docs.rs/worker) (not the FFmpeg worker of this workspace): everything
//! that depends on the runtime, and nothing that depends on the API.
//!
//! `edge/worker/index.js` receives the runtime's events and calls the exports of this module. [`handle`] takes a request as
//! plain text and bytes instead of `#[event(fetch)]`: reading a web `Request` from Rust costs more than the rest of the work
//! (`docs/benchmarks.md` has the figures).
//!
//! | module | contents |
//! |---|---|
//! | [`isolate`] | the API of this isolate, created once from the Worker's settings and bindings |
//! | [`exchange`] | a request's head and body from JavaScript, the response back |
//! | [`invocation`] | the event being handled, for work that continues after the response |
//! | [`journal`], [`consumer`], [`queue`] | grants on their way to the queue, and from the queue to Kinesis |
//! | [`key_value_store`], [`outbound`], [`pause`], [`signer`] | adapters of the other ports |
//! | [`node_crypto`] | bindings to `node:crypto` |
//! | [`random`], [`log`] | buffered random bytes, log lines |
//! | [`recovery`] | what happens after a panic |
//!
//! One isolate serves many requests concurrently on one thread. A request's objects (streams, promises of fetches) belong to
//! that request and must not be used for another one; bindings may be shared.

mod consumer;
mod exchange;
mod invocation;
mod isolate;
mod journal;
mod key_value_store;
mod log;
mod node_crypto;
mod outbound;
mod pause;
#[cfg(feature = "probes")]
pub mod probes;
mod queue;
mod random;
mod recovery;
mod signer;

use std::future::Future;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker};

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::future_to_promise;
use worker::worker_sys::{Context as JsContext, MessageBatch};
use worker::{Context, Env, ScheduleContext, ScheduledEvent, event};

use self::consumer::BatchError;
use self::invocation::Invocation;
use self::isolate::Isolate;

/// Installs the panic hook. `index.js` calls it first in each instance of the module.
#[wasm_bindgen(js_name = installPanicHook)]
pub fn install_panic_hook() {
    recovery::install_panic_hook();
}

/// Returns the names of the headers that [`handle`] takes, in their order, separated by commas.
#[wasm_bindgen(js_name = requestHeaders)]
pub fn request_headers() -> String {
    exchange::header_names()
}

/// Handles a request. Returns a `Response`; or an array of a `Response` and the promise to await before it is sent; or a
/// promise of either when something outside of the Worker must answer first.
///
/// `head` has the format of [`exchange::request`], `now` is in milliseconds of the Unix epoch.
#[wasm_bindgen]
pub fn handle(env: Env, context: JsContext, head: &str, body: Vec<u8>, now: f64) -> JsValue {
    let request = exchange::request(head, body);
    let invocation = Rc::new(Invocation::new(Context::new(context)));
    now_or_later(invocation.run(async move {
        match Isolate::get(&env) {
            Ok(isolate) => isolate.handle(&request, now).await,
            Err(invalid) => isolate::misconfigured(invalid, &request),
        }
    }))
}

/// Returns the response to a request that was being handled when the instance of this module ended. `head` as for [`handle`].
#[wasm_bindgen]
pub fn fail(env: &Env, head: &str) -> JsValue {
    let request = exchange::request(head, Vec::new());
    match Isolate::get(env) {
        Ok(isolate) => isolate.failed(&request),
        Err(invalid) => isolate::misconfigured(invalid, &request),
    }
}

/// Returns the response to a request whose grant was not accepted: the promise of [`handle`] was rejected. `head` as for
/// [`handle`].
#[wasm_bindgen(js_name = notRecorded)]
pub fn not_recorded(env: &Env, head: &str) -> JsValue {
    let request = exchange::request(head, Vec::new());
    match Isolate::get(env) {
        Ok(isolate) => isolate.not_recorded(&request),
        Err(invalid) => isolate::misconfigured(invalid, &request),
    }
}

/// Runs `future` and returns its result, or a promise of it when it is not ready at once. Most requests need nothing from
/// outside, and a promise would cost them more than their signature.
fn now_or_later(future: impl Future<Output = JsValue> + 'static) -> JsValue {
    let mut future = Box::pin(future);
    match future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        // The promise polls it again, with a waker that works.
        Poll::Pending => future_to_promise(async move { Ok(future.await) }).into(),
    }
}

/// Consumes a batch of the queue `GRANTS`. Messages that are neither acknowledged nor retried are delivered again.
///
/// Not `#[event(queue)]`: the crate's messages do not have the number of deliveries, which the delay until the next one depends on, and
/// they and the export panic on an error, which would end the requests of the whole isolate.
#[wasm_bindgen]
pub async fn queue(batch: MessageBatch, env: Env) -> Result<(), JsValue> {
    let consumed = match Isolate::get(&env) {
        Ok(isolate) => consumer::consume(&isolate, &batch).await,
        Err(invalid) => Err(BatchError::Misconfigured(invalid)),
    };
    consumed.map_err(|error| match error {
        BatchError::Runtime(error) => error,
        BatchError::Misconfigured(invalid) => {
            log::misconfigured(&invalid.problems, None);
            JsValue::from("the Worker's settings are invalid")
        }
    })
}

/// Checks on each cron event what requests depend on.
#[event(scheduled)]
async fn check(_: ScheduledEvent, env: Env, _: ScheduleContext) {
    match Isolate::get(&env) {
        Ok(isolate) => isolate.check_health().await,
        Err(invalid) => log::misconfigured(&invalid.problems, None),
    }
}
