//! `sessionPersistence` (GEP-1619), in both shapes that it has had: `sessionName` and `cookieConfig`, and later
//! `cookie` and `header`.

use std::sync::Arc;
use std::time::Duration;

use weir_model::{
    CookieLifetime, CookiePath, Period, Persistence, PersistenceMode, TokenCarrier, TokenCookie,
};

use super::cookie::attributes;
use super::decode::{Decoder, Field, Fields, portability};
use super::format;
use crate::yaml::{Finding, Spanned};

/// How sessions come back to their endpoint, before it is known which rule's sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPersistence {
    /// Name of the cookie or header; `None`: made from the rule's key.
    pub name: Option<Arc<str>>,
    /// What carries the token.
    pub carrier: TokenCarrier,
    /// `absoluteTimeout`.
    pub absolute_timeout: Option<Period>,
    /// weir's own `mode` (row CH15).
    pub mode: PersistenceMode,
}

impl SessionPersistence {
    /// The same for the rule of that key.
    pub(crate) fn for_rule(&self, key: &str) -> Arc<Persistence> {
        Arc::new(Persistence {
            // Envoy Gateway's name: that of the rule's cluster, in characters that a token may have.
            name: self.name.clone().unwrap_or_else(|| token_of(key)),
            carrier: self.carrier.clone(),
            absolute_timeout: self.absolute_timeout,
            mode: self.mode,
        })
    }
}

fn token_of(key: &str) -> Arc<str> {
    let keep = |character: char| match character {
        character if character.is_ascii_alphanumeric() || "-._".contains(character) => character,
        _ => '-',
    };
    key.chars().map(keep).collect::<String>().into()
}

/// Fields of both shapes.
const FIELDS: [&str; 7] = [
    "sessionName",
    "absoluteTimeout",
    "idleTimeout",
    "type",
    "cookieConfig",
    "cookie",
    "header",
];

const LIFETIMES: &[(&str, CookieLifetime)] = &[
    ("Session", CookieLifetime::Session),
    ("Permanent", CookieLifetime::Permanent),
];

const MODES: &[(&str, PersistenceMode)] = &[
    ("Persistent", PersistenceMode::Persistent),
    ("Balanced", PersistenceMode::Balanced),
];

/// Reads `sessionPersistence` of an HTTPRoute; `None` when it cannot be used.
pub(super) fn decode(decoder: &mut Decoder, field: Field<'_>) -> Option<SessionPersistence> {
    let fields = decoder.fields(field, &FIELDS)?;
    persistence(decoder, fields, &[])
}

/// The same of a TrafficPolicy, with its own fields: `mode`, and `attributes` of the cookie.
pub(crate) fn decode_own(decoder: &mut Decoder, field: Field<'_>) -> Option<SessionPersistence> {
    let known = [&FIELDS[..], &["mode"]].concat();
    let fields = decoder.fields(field, &known)?;
    let mut found = persistence(decoder, fields, &["attributes"])?;
    if let Some(field) = fields.optional("mode") {
        found.mode = decoder.choice(field, MODES)?.value;
    }
    Some(found)
}

/// `own` are the fields of a cookie that only weir's own kind has.
fn persistence(
    decoder: &mut Decoder,
    fields: Fields<'_>,
    own: &[&'static str],
) -> Option<SessionPersistence> {
    let mark = decoder.mark();
    let is_header = match fields.optional("type") {
        Some(field) => {
            decoder
                .choice(field, &[("Cookie", false), ("Header", true)])?
                .value
        }
        None => false,
    };
    check_union(decoder, fields, is_header);
    if fields.optional("idleTimeout").is_some() {
        let finding = Finding::new(
            "W0252",
            fields.key_span("idleTimeout"),
            "idleTimeout is not supported",
        );
        decoder.report(
            finding
                .label("Gateway API has removed it")
                .effect("a session ends by absoluteTimeout, or with its cookie"),
        );
    }
    let timeout = fields.optional("absoluteTimeout");
    let absolute_timeout = timeout.and_then(|field| timeout_of(decoder, field));
    let (name, carrier) = match is_header {
        true => (header_name(decoder, fields), TokenCarrier::Header),
        false => {
            let (name, cookie) = cookie(decoder, fields, own);
            if cookie.lifetime == CookieLifetime::Permanent && timeout.is_none() {
                let message =
                    "\"absoluteTimeout\" must be specified when the cookie's lifetimeType is Permanent";
                decoder.conflict(fields.span(), message, "add absoluteTimeout: 1h");
            }
            (name, TokenCarrier::Cookie(cookie))
        }
    };
    (!decoder.failed_since(mark)).then_some(SessionPersistence {
        name,
        carrier,
        absolute_timeout,
        mode: PersistenceMode::default(),
    })
}

/// What goes with which type, and which of two shapes it is.
fn check_union(decoder: &mut Decoder, fields: Fields<'_>, is_header: bool) {
    let (own, others): (&str, &[&'static str]) = match is_header {
        true => ("Header", &["cookieConfig", "cookie"]),
        false => ("Cookie", &["header"]),
    };
    for other in others.iter().filter(|other| fields.optional(other).is_some()) {
        let message = format!("\"{other}\" does not go with the type {own}");
        decoder.conflict(fields.key_span(other), message, "remove one of the two");
    }
    for (old, new) in [
        ("cookieConfig", "cookie"),
        ("sessionName", "cookie"),
        ("sessionName", "header"),
    ] {
        if fields.optional(old).is_some() && fields.optional(new).is_some() {
            let message = format!("\"{old}\" and \"{new}\" cannot be used together");
            decoder.conflict(
                fields.key_span(old),
                message,
                format!("\"{new}\" is the newer one of the two"),
            );
        }
    }
}

/// A session lasts some time.
fn timeout_of(decoder: &mut Decoder, field: Field<'_>) -> Option<Period> {
    let Spanned { value, span } = decoder.duration(field)?;
    let period = Period::new(value);
    if period.is_none() {
        let message = "\"absoluteTimeout\" is out of range";
        decoder.report(Finding::new("E0103", span, message).label("must be from 1ms to 366 days"));
    }
    if value != Duration::from_secs(value.as_secs()) {
        // RFC 6265 4.1.1: `Max-Age` is in whole seconds.
        decoder.report(
            portability(span, "a session lives for whole seconds").label("has a fraction of a second"),
        );
    }
    period
}

fn header_name(decoder: &mut Decoder, fields: Fields<'_>) -> Option<Arc<str>> {
    let field = match fields.optional("header") {
        Some(block) => decoder.fields(block, &["name"])?.required(decoder, "name")?,
        None => fields.optional("sessionName")?,
    };
    token(decoder, field).map(|name| name.to_ascii_lowercase().into())
}

fn cookie(
    decoder: &mut Decoder,
    fields: Fields<'_>,
    own: &[&'static str],
) -> (Option<Arc<str>>, TokenCookie) {
    let mut cookie = TokenCookie {
        path: CookiePath::OfMatch,
        lifetime: CookieLifetime::Session,
        attributes: Vec::new(),
    };
    let old = fields.optional("sessionName");
    let mut name = old.and_then(|field| token(decoder, field));
    let fill = |decoder: &mut Decoder, cookie: &mut TokenCookie, block: Fields<'_>| {
        if let Some(field) = block.optional("lifetimeType") {
            cookie.lifetime = decoder
                .choice(field, LIFETIMES)
                .map_or_else(Default::default, |word| word.value);
        }
        if let Some(field) = block.optional("attributes").filter(|_| !own.is_empty()) {
            cookie.attributes = attributes(decoder, field).unwrap_or_default();
        }
    };
    if let Some(block) = fields.optional("cookieConfig")
        && let Some(block) = decoder.fields(block, &[&["lifetimeType"], own].concat())
    {
        fill(decoder, &mut cookie, block);
    }
    if let Some(block) = fields.optional("cookie")
        && let Some(block) = decoder.fields(block, &[&["name", "path", "lifetimeType"], own].concat())
    {
        fill(decoder, &mut cookie, block);
        name = block.optional("name").and_then(|field| token(decoder, field));
        // Only this shape has a path, and its default is the whole site.
        let path = block.optional("path").map(|field| cookie_path(decoder, field));
        cookie.path = CookiePath::Fixed(path.flatten().unwrap_or_else(|| "/".into()));
    }
    (name, cookie)
}

/// Characters of a name (Gateway API).
const NAME_CHARACTERS: usize = 128;

/// Cookie names and header names are tokens (RFC 6265 4.1.1, RFC 9110 5.1).
fn token(decoder: &mut Decoder, field: Field<'_>) -> Option<Arc<str>> {
    let name = decoder.nonempty(field)?;
    if format::is_token(&name) && name.len() <= NAME_CHARACTERS {
        return Some(name.value);
    }
    let message = format!("\"{}\" cannot be the name of a cookie or header", name.value);
    let help = format!("use letters, digits, - and _, at most {NAME_CHARACTERS} characters");
    decoder.report(Finding::new("E0103", name.span, message).help(help));
    None
}

fn cookie_path(decoder: &mut Decoder, field: Field<'_>) -> Option<Arc<str>> {
    let path = decoder.nonempty(field)?;
    // RFC 6265 4.1.1: no control characters and no semicolon; a path of requests has neither.
    if path.starts_with('/')
        && path
            .bytes()
            .all(|byte| (0x21..0x7f).contains(&byte) && byte != b';')
    {
        return Some(path.value);
    }
    let message = format!("\"{}\" cannot be the path of a cookie", path.value);
    decoder.report(Finding::new("E0103", path.span, message).help("start with \"/\""));
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Parser;

    /// What `sessionPersistence` means, and what is said of it.
    fn read(text: &str) -> (Option<SessionPersistence>, Vec<String>) {
        let tree = Parser::new().parse(text).root.expect(text);
        let mut decoder = Decoder::default();
        let found = decode(&mut decoder, Field::new("sessionPersistence", &tree));
        let findings = decoder.into_findings().into_iter();
        (
            found,
            findings
                .map(|finding| format!("{} {}", finding.code, finding.message))
                .collect(),
        )
    }

    fn cookie(text: &str) -> (Option<String>, TokenCookie) {
        let (found, said) = read(text);
        assert!(said.is_empty(), "{text} {said:?}");
        let found = found.expect(text);
        match found.carrier {
            TokenCarrier::Cookie(cookie) => (found.name.as_deref().map(str::to_owned), cookie),
            TokenCarrier::Header => panic!("{text}: a header"),
        }
    }

    #[test]
    fn ch13_both_shapes_of_the_api_are_read() {
        let (name, found) = cookie("{}");
        assert_eq!(
            (name, found.path, found.lifetime),
            (None, CookiePath::OfMatch, CookieLifetime::Session)
        );
        let (name, found) =
            cookie("{sessionName: s, absoluteTimeout: 1h, cookieConfig: {lifetimeType: Permanent}}");
        assert_eq!(name.as_deref(), Some("s"));
        assert_eq!(
            (found.path, found.lifetime),
            (CookiePath::OfMatch, CookieLifetime::Permanent)
        );
        let (name, found) = cookie("{type: Cookie, cookie: {name: s, path: /a, lifetimeType: Session}}");
        assert_eq!(name.as_deref(), Some("s"));
        assert_eq!(found.path, CookiePath::Fixed("/a".into()));
        assert_eq!(
            cookie("{cookie: {}}").1.path,
            CookiePath::Fixed("/".into()),
            "GEP-1619"
        );
        for text in [
            "{type: Header, sessionName: X-S}",
            "{type: Header, header: {name: X-S}}",
        ] {
            let found = read(text).0.expect(text);
            assert_eq!(
                (found.name.as_deref(), found.carrier),
                (Some("x-s"), TokenCarrier::Header)
            );
        }
    }

    #[test]
    fn ch13_each_rule_of_the_api_is_checked_by_itself() {
        for (text, message) in [
            ("{type: Query}", "E0104 \"type\" cannot be \"Query\""),
            (
                "{cookieConfig: {lifetimeType: Permanent}}",
                "E0105 \"absoluteTimeout\" must be specified when the cookie's lifetimeType is Permanent",
            ),
            (
                "{cookie: {lifetimeType: Permanent}}",
                "E0105 \"absoluteTimeout\" must be specified when the cookie's lifetimeType is Permanent",
            ),
            (
                "{type: Header, cookieConfig: {}}",
                "E0105 \"cookieConfig\" does not go with the type Header",
            ),
            (
                "{type: Header, cookie: {}}",
                "E0105 \"cookie\" does not go with the type Header",
            ),
            (
                "{header: {name: a}}",
                "E0105 \"header\" does not go with the type Cookie",
            ),
            (
                "{sessionName: a, cookie: {}}",
                "E0105 \"sessionName\" and \"cookie\" cannot be used together",
            ),
            (
                "{cookieConfig: {}, cookie: {}}",
                "E0105 \"cookieConfig\" and \"cookie\" cannot be used together",
            ),
            ("{type: Header, header: {}}", "E0102 header has no \"name\""),
            (
                "{sessionName: \"a b\"}",
                "E0103 \"a b\" cannot be the name of a cookie or header",
            ),
            (
                "{cookie: {path: a}}",
                "E0103 \"a\" cannot be the path of a cookie",
            ),
            (
                "{cookie: {path: \"/a;b\"}}",
                "E0103 \"/a;b\" cannot be the path of a cookie",
            ),
            (
                "{absoluteTimeout: 0s}",
                "E0103 \"absoluteTimeout\" is out of range",
            ),
            (
                "{absoluteTimeout: 8784h1ms}",
                "E0103 \"absoluteTimeout\" is out of range",
            ),
            ("{idleTimeout: 1h}", "W0252 idleTimeout is not supported"),
            (
                "{absoluteTimeout: 1500ms}",
                "W0102 a session lives for whole seconds",
            ),
            (
                "{mode: Balanced}",
                "W0101 sessionPersistence has no field \"mode\"",
            ),
        ] {
            let (found, said) = read(text);
            assert_eq!(said.first().map(String::as_str), Some(message), "{text} {said:?}");
            assert_eq!(found.is_none(), message.starts_with('E'), "{text}");
        }
        for (length, valid) in [(127, true), (128, true), (129, false)] {
            let text = format!("{{sessionName: {}}}", "a".repeat(length));
            assert_eq!(read(&text).0.is_some(), valid, "{length}");
        }
    }

    #[test]
    fn ch13_a_name_is_made_from_the_rules_key() {
        let found = read("{}").0.expect("sessions");
        assert_eq!(
            &*found.for_rule("httproute/a/b c/rule/0").name,
            "httproute-a-b-c-rule-0"
        );
        let mut decoder = Decoder::default();
        let tree = Parser::new().parse("{mode: Balanced}").root.expect("a tree");
        let own = decode_own(&mut decoder, Field::new("sessionPersistence", &tree));
        assert_eq!(own.map(|own| own.mode), Some(PersistenceMode::Balanced));
        for block in ["cookie", "cookieConfig"] {
            let text = format!("{{{block}: {{attributes: {{SameSite: Lax, Secure: ''}}}}}}");
            let tree = Parser::new().parse(&text).root.expect("a tree");
            let field = Field::new("sessionPersistence", &tree);
            let found = decode_own(&mut decoder, field).map(|own| own.carrier);
            let Some(TokenCarrier::Cookie(cookie)) = found else {
                panic!("{text}")
            };
            let pair = |name: &str, value: &str| (Arc::from(name), Arc::from(value));
            assert_eq!(cookie.attributes, [pair("SameSite", "Lax"), pair("Secure", "")]);
            let of_route = decode(&mut decoder, field).map(|found| found.carrier);
            assert!(matches!(of_route, Some(TokenCarrier::Cookie(cookie)) if cookie.attributes.is_empty()));
        }
    }
}
