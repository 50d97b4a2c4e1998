//! A sealed object opens with its key at its place, and not otherwise.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn it_opens_where_it_was_sealed(plain: Vec<u8>, place: String) {
        let key = SealingKey::generate();
        let sealed = key.seal(&place, &plain).unwrap();
        prop_assert!(plain.len() < 8 || !sealed.windows(plain.len()).any(|w| w == plain));
        let again = SealingKey::parse(&key.to_text()).unwrap();
        prop_assert_eq!(again.open(key.id(), &place, &sealed).unwrap(), plain);
    }

    #[test]
    fn it_opens_nowhere_else(plain: Vec<u8>, at: prop::sample::Index) {
        let key = SealingKey::generate();
        let sealed = key.seal("here", &plain).unwrap();
        prop_assert_eq!(key.open(key.id(), "there", &sealed), Err(SealError::Broken));
        let mut altered = sealed.to_vec();
        altered[at.index(sealed.len())] ^= 1;
        prop_assert_eq!(key.open(key.id(), "here", &altered), Err(SealError::Broken));
        prop_assert_eq!(key.open(key.id(), "here", &sealed[..sealed.len() - 1]), Err(SealError::Broken));
        prop_assert_eq!(SealingKey::generate().open(key.id(), "here", &sealed), Err(SealError::OtherKey(key.id().to_owned())));
    }
}

#[test]
fn keys_are_secrets_and_only_secrets_are_sealed() {
    let key = SealingKey::generate();
    assert!(!format!("{key:?}").contains(&key.to_text()));
    assert!(is_sealed(&Key::new(Resource::SECRETS, "a", "b")));
    assert!(!is_sealed(&Key::new(Resource::CONFIGMAPS, "a", "b")));
    assert_eq!(SealingKey::parse("AAAA").unwrap_err(), SealError::Key);
}
