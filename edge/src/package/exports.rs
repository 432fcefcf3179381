//! What JavaScript sees. `package/entry/calls.js` is the only caller.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::Refused;

#[wasm_bindgen]
extern "C" {
    type TypeError;

    #[wasm_bindgen(constructor)]
    fn new(message: &str) -> TypeError;
}

/// [`super::presign_put`].
#[wasm_bindgen(js_name = presignPut)]
pub fn presign_put(options: &str) -> Result<String, JsValue> {
    thrown(super::presign_put(options))
}

/// [`super::sign_playback`].
#[wasm_bindgen(js_name = signPlayback)]
pub fn sign_playback(options: &str) -> Result<String, JsValue> {
    thrown(super::sign_playback(options))
}

/// [`super::verify_playback`].
#[wasm_bindgen(js_name = verifyPlayback)]
pub fn verify_playback(options: &str) -> Result<String, JsValue> {
    thrown(super::verify_playback(options))
}

fn thrown(answer: Result<String, Refused>) -> Result<String, JsValue> {
    answer.map_err(|refused| TypeError::new(&refused.to_string()).into())
}
