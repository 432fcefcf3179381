//! The runtime's objects, as far as the Worker uses them: <https://developers.cloudflare.com/workers/runtime-apis/>. A
//! crate that knows all of them would be a tenth of the module, and of the time in which it starts.

use js_sys::{Array, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    /// The context of an event.
    pub type Context;

    #[wasm_bindgen(method, catch, js_name = waitUntil)]
    pub(super) fn wait_until(this: &Context, promise: &Promise) -> Result<(), JsValue>;

    /// A KV namespace.
    pub(super) type Namespace;

    /// Promises the value of `name` as what `kind` says, or `null`.
    #[wasm_bindgen(method, catch)]
    pub(super) fn get(this: &Namespace, name: &str, kind: &str) -> Result<Promise, JsValue>;

    /// A queue to send to.
    #[derive(Clone)]
    pub(super) type Queue;

    #[wasm_bindgen(method, catch)]
    pub(super) fn send(this: &Queue, message: &JsValue, options: &JsValue) -> Result<Promise, JsValue>;

    /// What a queue delivers at once.
    pub type MessageBatch;

    #[wasm_bindgen(method, catch, getter)]
    pub(super) fn messages(this: &MessageBatch) -> Result<Array, JsValue>;

    /// A message of a queue.
    pub(super) type Message;

    #[wasm_bindgen(method, catch, getter)]
    pub(super) fn id(this: &Message) -> Result<String, JsValue>;

    #[wasm_bindgen(method, catch, getter)]
    pub(super) fn body(this: &Message) -> Result<JsValue, JsValue>;

    /// How often it was delivered, this time included.
    #[wasm_bindgen(method, catch, getter)]
    pub(super) fn attempts(this: &Message) -> Result<Option<u32>, JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(super) fn ack(this: &Message) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(super) fn retry(this: &Message, options: &JsValue) -> Result<(), JsValue>;
}
