//! Names of things in the emulated account.

/// The account that everything belongs to: the one of AWS's documentation.
pub const ACCOUNT: &str = "111122223333";

/// The region that everything is in.
pub const REGION: &str = "us-east-1";

/// `arn:aws:{service}:{region}:{account}:{resource}`.
pub fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}")
}

/// A random id in the form of a UUID, as the names of events, requests and containers are.
pub(crate) fn uuid() -> String {
    let id = hex_id();
    format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..])
}

/// A random id of 32 hexadecimal digits, as those of tasks are.
pub(crate) fn hex_id() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    format!("{:032x}", u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_forms_of_aws() {
        assert_eq!(arn("ecs", "cluster/streamio"), "arn:aws:ecs:us-east-1:111122223333:cluster/streamio");
        let lengths: Vec<usize> = uuid().split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_ne!(hex_id(), hex_id());
    }
}
