//! The event that is being handled. The ports are created once per isolate, but work that continues after a response must be
//! attached to the context of the event that started it.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::future_to_promise;
use worker::Context;

use crate::ports::{Background, BackgroundTask};

thread_local! {
    static CURRENT: RefCell<Option<Rc<Invocation>>> = const { RefCell::new(None) };
}

/// One event of the runtime.
pub(super) struct Invocation {
    context: Context,
}

impl Invocation {
    pub(super) fn new(context: Context) -> Self {
        Self { context }
    }

    /// Returns a future that runs `future` with this invocation as the current one.
    pub(super) fn run<F: Future>(self: Rc<Self>, future: F) -> impl Future<Output = F::Output> {
        Running { invocation: self, future: Box::pin(future) }
    }
}

struct Running<F> {
    invocation: Rc<Invocation>,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Running<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<F::Output> {
        let before = CURRENT.replace(Some(Rc::clone(&self.invocation)));
        let polled = self.future.as_mut().poll(context);
        CURRENT.replace(before);
        polled
    }
}

/// Runs tasks with `waitUntil` of the current invocation.
pub(super) struct WaitUntil;

impl Background for WaitUntil {
    fn spawn(&self, task: BackgroundTask) {
        let current = CURRENT.with_borrow(Clone::clone);
        let promise: Promise = future_to_promise(async move {
            task.await;
            Ok(JsValue::UNDEFINED)
        });
        if let Some(invocation) = current {
            // It fails only when the event has ended. The task is then dropped, and its work is done again later. The crate's
            // own `wait_until` would panic.
            let _ = invocation.context.as_ref().wait_until(&promise);
        }
    }
}
