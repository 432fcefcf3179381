//! The settings of webhooks.

use data_encoding::HEXLOWER_PERMISSIVE;
use streamio_core::webhooks::keys::WebhookKeys;
use streamio_events::settings::Reader;
use streamio_events::webhook::endpoint_url::Rules;

use super::Section;

/// The secret of the deployment's webhooks.
const SECRET: &str = "STREAMIO_WEBHOOK_SECRET";

/// Ports that are allowed in addition to the default.
const PORTS: &str = "STREAMIO_WEBHOOK_PORTS";

/// The queue of deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookQueue {
    /// The queue's URL.
    pub url: String,
}

impl Section for WebhookQueue {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { url: reader.required("STREAMIO_WEBHOOK_QUEUE_URL")? })
    }
}

/// How messages are signed, and where they may be sent.
#[derive(Debug, Clone)]
pub struct Webhooks {
    /// The keys with which messages are signed.
    pub keys: WebhookKeys,
    /// Which URLs are allowed.
    pub urls: Rules,
}

impl Section for Webhooks {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let keys = reader.required_parsed(SECRET, |digits| {
            let secret = HEXLOWER_PERMISSIVE.decode(digits.trim().as_bytes());
            let secret = secret.map_err(|_| "it has other characters than hexadecimal digits".to_owned())?;
            WebhookKeys::new(&secret).map_err(|error| error.to_string())
        });
        let ports = reader.parsed(PORTS, |list| {
            let ports = list.split(',').map(str::trim).filter(|port| !port.is_empty());
            ports.map(str::parse::<u16>).collect::<Result<Vec<u16>, _>>()
        });
        let mut urls = Rules { loopback: reader.flag("STREAMIO_WEBHOOK_LOOPBACK"), ..Rules::default() };
        urls.ports.extend(ports.unwrap_or_default());
        Some(Self { keys: keys?, urls })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use streamio_events::settings::InvalidSettings;

    use super::*;
    use crate::settings::read;

    fn read_from(variables: &[(&str, &str)]) -> Result<Webhooks, InvalidSettings> {
        let variables: HashMap<&str, &str> = variables.iter().copied().collect();
        read(&|name| variables.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn the_secret_is_required_and_never_printed() {
        let digits = "0a".repeat(32);
        let webhooks = read_from(&[(SECRET, &digits)]).unwrap();
        assert_eq!(webhooks.urls, Rules::default());
        let project = "acme".parse().unwrap();
        let expected = WebhookKeys::new(&[10; 32]).unwrap().public_key(&project);
        assert_eq!(webhooks.keys.public_key(&project), expected);
        assert!(!format!("{webhooks:?}").contains("0a0a"));
        for (secret, reason) in [
            ("", "is missing"),
            ("0a0a", "cannot be read: the secret has 2 bytes; it needs at least 32 random ones"),
            ("not digits", "cannot be read: it has other characters than hexadecimal digits"),
        ] {
            let refused = read_from(&[(SECRET, secret)]).unwrap_err();
            assert_eq!(refused.problems, [(SECRET, reason.to_owned())]);
        }
    }

    #[test]
    fn allowances_are_read() {
        let digits = "0a".repeat(32);
        let secret = (SECRET, digits.as_str());
        let webhooks =
            read_from(&[secret, (PORTS, "9443, 10443,"), ("STREAMIO_WEBHOOK_LOOPBACK", "1")]).unwrap();
        let expected = Rules { ports: vec![443, 8443, 9443, 10443], loopback: true, ..Rules::default() };
        assert_eq!(webhooks.urls, expected);
        let refused = read_from(&[secret, (PORTS, "https")]).unwrap_err();
        assert_eq!(refused.problems[0].0, PORTS);
    }
}
