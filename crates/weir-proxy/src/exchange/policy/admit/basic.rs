//! Names and passwords (RFC 7617).

use std::hint::black_box;

use sha1::Sha1;
use sha2::{Digest, Sha256};
use weir_model::{BasicAuth, PasswordDigest};
use weir_wire::{Known, base64};

use super::super::super::{Exchange, Failure};
use super::Admitted;
use crate::compile::Action;

/// Lets in who is known, and tells the endpoint who it is if the rule wants that and there is one.
pub(super) fn authenticate(
    exchange: &mut Exchange<'_>,
    auth: &BasicAuth,
    action: &Action,
    admitted: &mut Admitted,
) -> Result<(), Failure> {
    let fields = &exchange.scratch.head.fields;
    // RFC 9110 11.6.2: the field is no list.
    let value = fields
        .value(Known::Authorization, exchange.head())
        .filter(|_| !fields.is_repeated(Known::Authorization));
    let name = match value.map(credentials) {
        None => Err("credentials_missing"),
        Some(None) => Err("credentials_unreadable"),
        Some(Some((name, password))) => match is_known(auth, &name, &password) {
            true => Ok(name),
            false => Err("credentials_wrong"),
        },
    };
    match name {
        Ok(name) => {
            if let (Some(header), Action::Forward(_)) = (&auth.forward_name, action) {
                let mut edits = std::mem::take(&mut exchange.scratch.edits);
                edits.set(header, &name, &exchange.scratch.head.fields, exchange.head());
                exchange.scratch.edits = edits;
            }
            Ok(())
        }
        Err(reason) => {
            admitted.challenge = Some(auth.realm.clone());
            Err(Failure::answered(401, reason))
        }
    }
}

/// Name and password; the scheme's name may be in any letter case (RFC 9110 11.1). The first colon ends the name.
fn credentials(value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let text = str::from_utf8(value).ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let mut name = base64::decode(encoded.trim_matches(' '))?;
    let colon = name.iter().position(|byte| *byte == b':')?;
    let password = name.split_off(colon + 1);
    name.pop();
    Some((name, password))
}

/// Whether somebody has that name and password. Takes as long whoever it is: neither which names there are nor how
/// much of a digest is right can be told from the time.
fn is_known(auth: &BasicAuth, name: &[u8], password: &[u8]) -> bool {
    let (sha1, sha256) = (Sha1::digest(password), Sha256::digest(password));
    let mut is_known = false;
    for user in &auth.users {
        let is_password = match &user.password {
            PasswordDigest::Sha1(digest) => is_same(digest, &sha1),
            PasswordDigest::Sha256(digest) => is_same(digest, &sha256),
        };
        is_known |= black_box(is_password & is_same(user.name.as_bytes(), name));
    }
    is_known
}

/// Compares all of it whatever the first bytes are. Different lengths show: those of digests are known anyway.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let difference = one
        .iter()
        .zip(other)
        .fold(0, |difference, (one, other)| difference | (one ^ other));
    one.len() == other.len() && black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use weir_model::BasicUser;

    use super::*;

    #[test]
    fn kt34_credentials_are_read_as_rfc_7617_says() {
        for (value, expected) in [
            (
                "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
                Some(("Aladdin", "open sesame")),
            ),
            (
                "bASIC QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
                Some(("Aladdin", "open sesame")),
            ),
            ("Basic  OmE6Yg== ", Some(("", "a:b"))),
            ("Basic YTo=", Some(("a", ""))),
            ("Basic YQ==", None),
            ("Basic ", None),
            ("Basic", None),
            ("Bearer YTo=", None),
            ("Basic YTo", None),
            ("Basic !!!!", None),
        ] {
            let expected = expected.map(|(name, password)| (name.into(), password.into()));
            assert_eq!(credentials(value.as_bytes()), expected, "{value}");
        }
        assert_eq!(credentials(b"Basic \xff"), None);
    }

    #[test]
    fn kt34_each_user_has_a_password_of_its_own() {
        let user = |name: &str, password| BasicUser {
            name: name.into(),
            password,
        };
        let auth = BasicAuth {
            realm: "r".into(),
            users: vec![
                user("ann", PasswordDigest::Sha1(Sha1::digest(b"one").into())),
                user("bob", PasswordDigest::Sha256(Sha256::digest(b"two").into())),
            ],
            forward_name: None,
        };
        for (name, password, expected) in [
            ("ann", "one", true),
            ("bob", "two", true),
            ("ann", "two", false),
            ("bob", "one", false),
            ("ann", "", false),
            ("an", "one", false),
            ("", "", false),
        ] {
            assert_eq!(
                is_known(&auth, name.as_bytes(), password.as_bytes()),
                expected,
                "{name} {password}"
            );
        }
    }
}
