//! After a panic. There is no unwinding here: the instance of the module traps, and whatever it was doing is lost.
//!
//! JavaScript is told before the trap ([`host::instance_ended`]): it ends the requests that waited for this instance, each
//! with an answer of its own, and makes a new instance with the next call.

use std::panic::PanicHookInfo;

use wasm_bindgen::prelude::wasm_bindgen;

use super::{host, log};

#[wasm_bindgen(start, private)]
fn start() {
    std::panic::set_hook(Box::new(report));
}

/// Where it was, and what was said if that is a text of this program: a formatted one may hold data.
fn report(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let said = info.payload().downcast_ref::<&'static str>().copied().unwrap_or_default();
    log::panicked(&place, said);
    host::instance_ended();
}
