//! The bound of ports that also run on wasm32.

/// A value that threads may share: `Send + Sync`. On wasm32, which has one thread and whose host objects are bound to it,
/// every type qualifies.
#[cfg(not(target_arch = "wasm32"))]
pub trait ThreadSafe: Send + Sync {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + Sync + ?Sized> ThreadSafe for T {}

/// A value that threads may share: `Send + Sync`. On wasm32, which has one thread and whose host objects are bound to it,
/// every type qualifies.
#[cfg(target_arch = "wasm32")]
pub trait ThreadSafe {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> ThreadSafe for T {}
