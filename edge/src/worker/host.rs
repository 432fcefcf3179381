//! Functions of the host: `edge/worker/host.js`.

use js_sys::{Promise, Uint8Array};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen(raw_module = "./host.js")]
extern "C" {
    /// Makes a web `Response` of a head that many answers have alike (the status and then header names and values in turn, one
    /// a line), of the two fields that differ, and of a body. With an `acceptance`: an array of both.
    pub(super) fn respond(
        head: &str,
        request_id: &str,
        rate_limit: Option<&str>,
        body: &str,
        acceptance: Option<Promise>,
    ) -> JsValue;

    /// Sends a request and reads the answer, within limits of time (milliseconds) and size (bytes).
    #[wasm_bindgen(catch)]
    pub(super) fn exchange(
        method: &str,
        url: &str,
        head: &str,
        body: Uint8Array,
        timeout: u32,
        limit: u32,
    ) -> Result<Promise, JsValue>;

    /// What [`exchange`] promises.
    pub(super) type Exchanged;

    #[wasm_bindgen(method, getter)]
    pub(super) fn status(this: &Exchanged) -> u16;

    /// Header names and values in turn, one a line.
    #[wasm_bindgen(method, getter)]
    pub(super) fn head(this: &Exchanged) -> String;

    #[wasm_bindgen(method, getter)]
    pub(super) fn body(this: &Exchanged) -> Uint8Array;

    /// Is fulfilled after this time.
    pub(super) fn pause(milliseconds: u32) -> Promise;

    /// Writes a log line. `level` is a method of `console`.
    pub(super) fn log(level: &str, line: &str);

    /// Ends every request that waits for this instance.
    #[wasm_bindgen(js_name = instanceEnded)]
    pub(super) fn instance_ended();
}

#[wasm_bindgen(raw_module = "./host.js")]
extern "C" {
    /// A private key of `node:crypto`. <https://nodejs.org/api/crypto.html#class-keyobject>
    #[derive(Clone)]
    pub(super) type KeyObject;

    /// Reads a private key in PEM.
    #[wasm_bindgen(catch, js_name = readKey)]
    pub(super) fn read_key(pem: &str) -> Result<KeyObject, JsValue>;

    /// `rsa`, `ec`, ….
    #[wasm_bindgen(method, getter, js_name = asymmetricKeyType)]
    pub(super) fn kind(this: &KeyObject) -> Option<String>;

    #[wasm_bindgen(method, getter, js_name = asymmetricKeyDetails)]
    pub(super) fn details(this: &KeyObject) -> KeyDetails;

    pub(super) type KeyDetails;

    #[wasm_bindgen(method, getter, js_name = modulusLength)]
    pub(super) fn modulus_length(this: &KeyDetails) -> Option<u32>;

    #[wasm_bindgen(method, getter, js_name = namedCurve)]
    pub(super) fn named_curve(this: &KeyDetails) -> Option<String>;

    /// Signs with a key that was read: PKCS #1 v1.5 for RSA, DER for ECDSA.
    #[wasm_bindgen(catch)]
    pub(super) fn sign(algorithm: &str, message: &[u8], key: &KeyObject) -> Result<Uint8Array, JsValue>;
}
