//! `basic_auth`: who may come in (RFC 7617).

use std::sync::Arc;

use sha2::{Digest, Sha256};
use weir_model::{BasicAuth, BasicUser, HeaderChange, PasswordDigest};
use weir_wire::base64;

use super::admission::header_name;
use crate::resource::decode::{Decoder, Field};
use crate::yaml::{Finding, Spanned};

/// How digests begin that weir does not take. As a password such text would never fit.
const FOREIGN: [&str; 8] = ["$2a$", "$2b$", "$2y$", "$apr1$", "$1$", "$5$", "$6$", "{SSHA}"];

/// Reads the block; `None` when it cannot be used. The realm is empty when none is written.
pub(super) fn decode(decoder: &mut Decoder, field: Field<'_>) -> Option<BasicAuth> {
    let mark = decoder.mark();
    let known = ["realm", "forward_name", "users"];
    let fields = decoder.fields_with_vital(field, &known, known)?;
    let realm = match fields.optional("realm") {
        Some(field) => realm(decoder, field)?,
        None => Arc::from(""),
    };
    let forward_name = match fields.optional("forward_name") {
        Some(field) => Some(forward_name(decoder, field)?),
        None => None,
    };
    let list = fields.required(decoder, "users")?;
    let mut users: Vec<Spanned<BasicUser>> = Vec::new();
    for item in decoder.items(list, usize::MAX) {
        users.extend(user(decoder, item));
    }
    if users.is_empty() && !decoder.failed_since(mark) {
        let finding = Finding::new("E0105", list.span(), "nobody could come in: \"users\" is empty");
        decoder.report(
            finding.help("add users: [{name: NAME, password: \"${PASSWORD}\"}], or remove basic_auth"),
        );
    }
    users
        .sort_by(|left, right| (&left.value.name, left.span.line).cmp(&(&right.value.name, right.span.line)));
    for pair in users.windows(2) {
        if pair[0].value.name == pair[1].value.name {
            let message = format!("there are two users with the name {}", pair[1].value.name);
            decoder.report(Finding::new("E0105", pair[1].span, message).help("give each one password"));
        }
    }
    let auth = BasicAuth {
        realm,
        users: users.into_iter().map(|user| user.value).collect(),
        forward_name,
    };
    (!decoder.failed_since(mark)).then_some(auth)
}

/// RFC 9110 5.6.4: what may stand in quotes without being escaped.
fn realm(decoder: &mut Decoder, field: Field<'_>) -> Option<Arc<str>> {
    let text = decoder.nonempty(field)?;
    let is_plain =
        |letter: char| letter == ' ' || (letter.is_ascii_graphic() && letter != '"' && letter != '\\');
    if !text.chars().all(is_plain) {
        let message = format!("\"{}\" cannot be a realm", text.value.escape_debug());
        decoder.report(Finding::new("E0103", text.span, message).help("use letters, digits and spaces"));
        return None;
    }
    Some(text.value)
}

fn forward_name(decoder: &mut Decoder, field: Field<'_>) -> Option<Arc<str>> {
    let name = header_name(decoder, field)?;
    // What frames a message, and what only one side may write.
    if HeaderChange::is_guarded(&name) || ["host", "authorization"].contains(&&*name.value) {
        let message = format!("the header {} cannot carry a name", name.value);
        decoder.report(
            Finding::new("E0103", name.span, message).help("use a header of your own, such as x-user"),
        );
        return None;
    }
    Some(name.value)
}

fn user(decoder: &mut Decoder, item: Field<'_>) -> Option<Spanned<BasicUser>> {
    let known = ["name", "password"];
    let fields = decoder.fields_with_vital(item, &known, known)?;
    let name = fields
        .required(decoder, "name")
        .and_then(|field| decoder.nonempty(field));
    let password = fields
        .required(decoder, "password")
        .and_then(|field| decoder.nonempty(field))?;
    let name = name?;
    // RFC 7617 2: the first colon ends the name. As a header it is a value, too.
    if name.contains(|letter: char| letter == ':' || letter.is_control()) {
        let message = format!("\"{}\" cannot be a name", name.value.escape_debug());
        decoder.report(Finding::new("E0103", name.span, message).help("leave out the colon"));
        return None;
    }
    let Some(password) = digest(&password) else {
        // The value is not repeated: it is a secret.
        let finding = Finding::new(
            "E0103",
            password.span,
            "the password is in a form that weir does not take",
        );
        decoder.report(
            finding
                .label("not shown")
                .help("write {SHA} and base64 as `htpasswd -s` does, {SHA256} and base64, or the password itself as \"${VAR}\""),
        );
        return None;
    };
    Some(Spanned::new(
        BasicUser {
            name: name.value,
            password,
        },
        item.span(),
    ))
}

/// The digest that `{SHA}` and `{SHA256}` stand before, or that of the password itself.
fn digest(password: &str) -> Option<PasswordDigest> {
    let decoded = |text| base64::decode(text);
    if let Some(text) = password.strip_prefix("{SHA}") {
        return Some(PasswordDigest::Sha1(decoded(text)?.try_into().ok()?));
    }
    if let Some(text) = password.strip_prefix("{SHA256}") {
        return Some(PasswordDigest::Sha256(decoded(text)?.try_into().ok()?));
    }
    let is_foreign = FOREIGN.iter().any(|start| password.starts_with(start));
    (!is_foreign).then(|| PasswordDigest::Sha256(Sha256::digest(password.as_bytes()).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kt34_passwords_are_kept_as_digests() {
        // `htpasswd -nbs user password`.
        let sha1 = digest("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=");
        assert!(matches!(sha1, Some(PasswordDigest::Sha1([0x5b, 0xaa, 0x61, ..]))));
        let plain = digest("password");
        assert!(matches!(plain, Some(PasswordDigest::Sha256([0x5e, 0x88, ..]))));
        assert_eq!(
            digest("{SHA256}XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg="),
            plain
        );
        for refused in [
            "{SHA}",
            "{SHA}AAAA",
            "{SHA256}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
            "$2y$05$c4WoMPo3SXsafkva",
        ] {
            assert_eq!(digest(refused), None, "{refused}");
        }
    }
}
