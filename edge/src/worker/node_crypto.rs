//! The part of `node:crypto` that signs: <https://nodejs.org/api/crypto.html>. The `worker` crate has no bindings to it.

use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// Returns `node:crypto`. It is loaded with the first call: loaded at the start, it would delay every isolate's first response. Fails
/// when the Worker has no compatibility flag `nodejs_compat`.
pub(super) fn load() -> Result<NodeCrypto, JsValue> {
    get_builtin_module("node:crypto")
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_namespace = process, js_name = getBuiltinModule)]
    fn get_builtin_module(name: &str) -> Result<NodeCrypto, JsValue>;

    /// The module.
    pub(super) type NodeCrypto;

    /// Reads a private key in PEM.
    #[wasm_bindgen(method, catch, js_name = createPrivateKey)]
    pub(super) fn create_private_key(this: &NodeCrypto, pem: &str) -> Result<KeyObject, JsValue>;

    /// Signs `message`: PKCS #1 v1.5 for RSA, DER for ECDSA.
    #[wasm_bindgen(method, catch)]
    pub(super) fn sign(
        this: &NodeCrypto,
        algorithm: &str,
        message: &[u8],
        key: &KeyObject,
    ) -> Result<Uint8Array, JsValue>;

    /// A private key.
    #[derive(Clone)]
    pub(super) type KeyObject;

    /// `rsa`, `ec`, ….
    #[wasm_bindgen(method, getter, js_name = asymmetricKeyType)]
    pub(super) fn kind(this: &KeyObject) -> Option<String>;

    #[wasm_bindgen(method, getter, js_name = asymmetricKeyDetails)]
    pub(super) fn details(this: &KeyObject) -> KeyDetails;

    /// Details of a private key.
    pub(super) type KeyDetails;

    #[wasm_bindgen(method, getter, js_name = modulusLength)]
    pub(super) fn modulus_length(this: &KeyDetails) -> Option<u32>;

    #[wasm_bindgen(method, getter, js_name = namedCurve)]
    pub(super) fn named_curve(this: &KeyDetails) -> Option<String>;
}
