//! What the router is asked, and what it answers.

use std::error::Error;
use std::fmt;

use weir_model::RouteId;

/// The parts of a request that decide which rule serves it. Host and path must be normalised: what is matched
/// is what is forwarded.
#[derive(Clone, Copy)]
pub struct RequestParts<'a> {
    /// Lower case, without port and trailing dot; empty when the request names none.
    pub host: &'a str,
    /// Without query; starts with `/` except for `*` and CONNECT.
    pub path: &'a str,
    /// What follows the first `?`, as sent.
    pub query: Option<&'a str>,
    /// As sent; methods are case-sensitive (RFC 9110 9.1).
    pub method: &'a str,
    /// The header fields.
    pub headers: &'a dyn HeaderView,
}

impl fmt::Debug for RequestParts<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = self.query.map(|query| format!("?{query}")).unwrap_or_default();
        write!(out, "{} {}{}{query}", self.method, self.host, self.path)
    }
}

/// The header fields of a request, wherever they are kept.
pub trait HeaderView {
    /// The value of the header `name` (lower case), or `None` when there is none. Several fields of one name
    /// count as one value, joined with `,` in `joined` (RFC 9110 5.2), which is not touched otherwise.
    fn value<'b>(&'b self, name: &str, joined: &'b mut String) -> Option<&'b str>;
}

/// Names and values in the order received; names in any letter case.
impl HeaderView for [(&str, &str)] {
    fn value<'b>(&'b self, name: &str, joined: &'b mut String) -> Option<&'b str> {
        let mut values = self
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value);
        let first = values.next()?;
        let Some(second) = values.next() else {
            return Some(first);
        };
        joined.clear();
        joined.push_str(first);
        for value in std::iter::once(second).chain(values) {
            joined.push(',');
            joined.push_str(value);
        }
        Some(joined)
    }
}

/// The same for an array, so that `&[("name", "value")]` is a view.
impl<const N: usize> HeaderView for [(&str, &str); N] {
    fn value<'b>(&'b self, name: &str, joined: &'b mut String) -> Option<&'b str> {
        self.as_slice().value(name, joined)
    }
}

/// The same for a growing list.
impl HeaderView for Vec<(&str, &str)> {
    fn value<'b>(&'b self, name: &str, joined: &'b mut String) -> Option<&'b str> {
        self.as_slice().value(name, joined)
    }
}

/// The match that serves a request. All indexes are those of the listener and routes the router was built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hit {
    /// Index in `Listener::sections`.
    pub section: u32,
    /// The route.
    pub route: RouteId,
    /// Index in `Route::rules`.
    pub rule: u32,
    /// Index in `Rule::matches`.
    pub match_index: u32,
}

/// Why nothing serves a request. The client asked for something that is not here: 404.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Miss {
    /// No section of the listener covers the host.
    NoHost,
    /// A section covers the host, but no match of its routes covers the request.
    NoRoute,
}

impl fmt::Display for Miss {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NoHost => "no listener serves this host",
            Self::NoRoute => "no route matches this request",
        })
    }
}

impl Error for Miss {}
