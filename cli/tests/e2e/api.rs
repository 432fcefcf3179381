//! The API over HTTP: what its own tests ask in process is asked of the running program.
