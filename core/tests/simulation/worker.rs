//! The launcher and the workers: modelled after `lambdas/src/adapters/ecs.rs` and the crate `worker`, which `core` cannot use.

mod attempt;
mod launch;
mod publish;

pub(crate) use self::launch::Launcher;
