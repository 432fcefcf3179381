//! Amazon Resource Names (ARNs) of the emulated account.

/// The id of the emulated account: the example account of AWS's documentation.
pub const ACCOUNT: &str = "111122223333";

/// The region of all emulated services.
pub const REGION: &str = streamio_events::emulators::REGION;

/// Returns `arn:aws:{service}:{region}:{account}:{resource}`.
pub fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_names_service_region_account_and_resource() {
        assert_eq!(arn("ecs", "cluster/streamio"), "arn:aws:ecs:us-east-1:111122223333:cluster/streamio");
    }
}
