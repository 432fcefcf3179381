//! A model of the load, the limits and the cost of a deployment on AWS: `streamio-emulator scale`, which `cargo xtask scale` starts.
//! `docs/scale.md` has its tables.
//!
//! The [costs] of one upload and of one commit of playback grants are measured on the emulated cloud: a scenario fails if what DynamoDB
//! reports differs from them. Everything else follows from them, from the [assumptions](load), and from what AWS documents:
//! [limits] and [prices].

pub mod costs;
pub mod limits;
pub mod load;
pub mod prices;
mod tables;

pub use self::tables::tables;

#[cfg(test)]
mod tests;
