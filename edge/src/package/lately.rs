use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;
use sha2::{Digest, Sha256};

/// As many keys as a rotation or two has at the same time.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");

/// Keys that were read lately: reading an RSA key takes longer than signing with it, and callers hand over the same text
/// with every call. They are found by a hash, so that the text itself is not kept.
pub(super) struct Lately<K>(LruCache<[u8; 32], Rc<K>>);

impl<K> Lately<K> {
    pub(super) fn new() -> Self {
        Self(LruCache::new(CAPACITY))
    }

    /// What `read` makes of `texts`, or made of them before.
    pub(super) fn get<E>(&mut self, texts: &[&str], read: impl FnOnce() -> Result<K, E>) -> Result<Rc<K>, E> {
        let mut hash = Sha256::new();
        for text in texts {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        self.0.try_get_or_insert(hash.finalize().into(), || read().map(Rc::new)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_once_while_it_is_kept_and_each_for_itself() {
        let mut lately = Lately::new();
        let mut read = 0;
        let mut get = |texts: &[&str], key: usize| {
            let found = lately.get(texts, || {
                read += 1;
                Ok::<_, ()>(key)
            });
            (*found.unwrap(), read)
        };
        assert_eq!(get(&["a", "b"], 1), (1, 1));
        assert_eq!(get(&["a", "b"], 2), (1, 1));
        assert_eq!(get(&["ab", ""], 3), (3, 2), "where one text ends matters");
        for number in 0..CAPACITY.get() {
            get(&[&number.to_string()], number);
        }
        assert_eq!(get(&["a", "b"], 4), (4, 11));
    }

    #[test]
    fn what_could_not_be_read_is_not_kept() {
        let mut lately = Lately::new();
        assert_eq!(lately.get(&["a"], || Err::<u8, _>("no")), Err("no"));
        assert_eq!(lately.get(&["a"], || Ok::<_, &str>(1)).as_deref(), Ok(&1));
    }
}
