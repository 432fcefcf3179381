//! Names of things in the emulated account.

/// The account that everything belongs to: the one of AWS's documentation.
pub const ACCOUNT: &str = "111122223333";

/// The region that everything is in.
pub const REGION: &str = streamio_events::emulators::REGION;

/// `arn:aws:{service}:{region}:{account}:{resource}`.
pub fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_forms_of_aws() {
        assert_eq!(arn("ecs", "cluster/streamio"), "arn:aws:ecs:us-east-1:111122223333:cluster/streamio");
    }
}
