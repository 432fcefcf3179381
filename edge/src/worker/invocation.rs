//! Which event is being worked on. The ports are made once for the isolate, but work that outlives an answer must be
//! handed to the context of the event that began it.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use js_sys::{Array, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::future_to_promise;

use super::runtime;
use crate::ports::{Background, BackgroundTask};

thread_local! {
    static CURRENT: RefCell<Option<Rc<Invocation>>> = const { RefCell::new(None) };
}

/// One event of the runtime.
pub(super) struct Invocation {
    context: runtime::Context,
    /// What must have come true before the answer leaves.
    acceptance: RefCell<Option<Promise>>,
}

impl Invocation {
    pub(super) fn of_request(context: runtime::Context) -> Rc<Self> {
        Rc::new(Self { context, acceptance: RefCell::new(None) })
    }

    /// Lets the current invocation's answer leave only after `promise`. Where none is current, the promise is given back,
    /// to be awaited at once.
    pub(super) fn answer_after(promise: Promise) -> Option<Promise> {
        let Some(current) = CURRENT.with_borrow(Clone::clone) else { return Some(promise) };
        let both = match current.acceptance.take() {
            None => promise,
            Some(before) => Promise::all(&Array::of2(&before, &promise)),
        };
        current.acceptance.replace(Some(both));
        None
    }

    /// What must have come true before the answer leaves.
    pub(super) fn take_acceptance(&self) -> Option<Promise> {
        self.acceptance.take()
    }

    /// `future`, during each of whose polls this invocation is the current one.
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

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let before = CURRENT.replace(Some(Rc::clone(&self.invocation)));
        let polled = self.future.as_mut().poll(context);
        CURRENT.replace(before);
        polled
    }
}

/// `waitUntil` of the current invocation.
pub(super) struct WaitUntil;

impl Background for WaitUntil {
    fn spawn(&self, task: BackgroundTask) {
        let current = CURRENT.with_borrow(Clone::clone);
        let promise: Promise = future_to_promise(async move {
            task.await;
            Ok(JsValue::UNDEFINED)
        });
        if let Some(invocation) = current {
            // It fails only where the event has ended: the task then ends with it, and is found undone later.
            let _ = invocation.context.wait_until(&promise);
        }
    }
}
