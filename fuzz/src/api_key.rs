//! API keys: `sio_<env>_<43 base62 characters>_<6 base62 characters: CRC-32>`.

use streamio_events::api_key::ApiKey;

use crate::text;

/// An accepted key has the documented form, and its checksum is the one of an independent implementation.
pub fn check(data: &[u8]) {
    let Some(text) = text::of(data) else { return };
    if let Ok(key) = text.parse::<ApiKey>() {
        assert_eq!(key.reveal(), text);
        let parts: Vec<&str> = text.split('_').collect();
        let [prefix, env, secret, sum] = parts[..] else { panic!("{} parts", parts.len()) };
        assert_eq!((prefix, secret.len(), sum.len()), ("sio", 43, 6));
        assert!((2..=8).contains(&env.len()) && env.bytes().all(|byte| byte.is_ascii_lowercase()));
        assert_eq!(value_of(sum), u64::from(crc32fast::hash(&data[..data.len() - 7])));
        assert!(!format!("{key:?}").contains(secret));
    }
    // A valid key is hard to find by chance, so each input also makes one and changes it.
    let mut random = [0; 32];
    for (index, byte) in data.iter().enumerate() {
        random[index % 32] ^= byte;
    }
    let key = ApiKey::generate("live", random).expect("`live` is an environment");
    assert_eq!(key.reveal().parse::<ApiKey>().as_ref(), Ok(&key));
    let mut changed = key.reveal().as_bytes().to_vec();
    let length = changed.len();
    changed[usize::from(random[0]) % length] = data.first().copied().unwrap_or_default();
    if let Some(changed) = text::of(&changed).filter(|changed| *changed != key.reveal()) {
        assert!(changed.parse::<ApiKey>().is_err(), "{changed}");
    }
}

/// The number whose base62 digits are `digits`.
fn value_of(digits: &str) -> u64 {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => byte - b'0',
        b'A'..=b'Z' => byte - b'A' + 10,
        b'a'..=b'z' => byte - b'a' + 36,
        _ => panic!("{byte} is no digit"),
    };
    digits.bytes().fold(0, |value, byte| value * 62 + u64::from(digit(byte)))
}
