//! The home region alone on a listener, and what an edge that has nothing else sees of it.

mod facts;
mod refusals;
mod sameness;
mod world;
