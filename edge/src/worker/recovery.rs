//! Recovery after a panic. Panics do not unwind here: the instance of the module traps, and everything it was doing is lost.
//!
//! The panic hook notifies `edge/worker/recovery.js` before the trap. It ends the requests that wait for this instance, each
//! with a response, and the next call creates a new instance.

use std::panic::PanicHookInfo;

use wasm_bindgen::prelude::wasm_bindgen;

use super::log;

#[wasm_bindgen(raw_module = "./recovery.js")]
extern "C" {
    /// Ends all requests that wait for this instance.
    #[wasm_bindgen(js_name = instanceEnded)]
    fn instance_ended();
}

/// Installs the panic hook of this instance. It replaces the hook of the `worker` crate, which would log the whole message of a
/// panic, and a formatted message may contain a tenant's data.
pub(super) fn install_panic_hook() {
    std::panic::set_hook(Box::new(report));
}

/// Logs the place of the panic, and its message when that is a constant.
fn report(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let message = info.payload().downcast_ref::<&'static str>().copied().unwrap_or_default();
    log::panicked(&place, message);
    instance_ended();
}
