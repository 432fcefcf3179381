use std::error::Error;

/// The cause of a port's failure, for the operator's log. Clients never see it.
pub type Cause = Box<dyn Error + Send + Sync>;
