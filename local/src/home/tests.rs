//! Tests of the home region's listener with the clients of an edge in another process.

mod comparison;
mod facts;
mod harness;
mod refusals;
