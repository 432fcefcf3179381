//! The functions exported to JavaScript. Only `package/entry/calls.js` calls them.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::InvalidOptions;

#[wasm_bindgen]
extern "C" {
    type TypeError;

    #[wasm_bindgen(constructor)]
    fn new(message: &str) -> TypeError;
}

/// [`super::presign_put`].
#[wasm_bindgen(js_name = presignPut)]
pub fn presign_put(options: &str) -> Result<String, JsValue> {
    map_error(super::presign_put(options))
}

/// [`super::sign_playback`].
#[wasm_bindgen(js_name = signPlayback)]
pub fn sign_playback(options: &str) -> Result<String, JsValue> {
    map_error(super::sign_playback(options))
}

/// [`super::verify_playback`].
#[wasm_bindgen(js_name = verifyPlayback)]
pub fn verify_playback(options: &str) -> Result<String, JsValue> {
    map_error(super::verify_playback(options))
}

/// Converts an error to a `TypeError`.
fn map_error(result: Result<String, InvalidOptions>) -> Result<String, JsValue> {
    result.map_err(|error| TypeError::new(&error.to_string()).into())
}
