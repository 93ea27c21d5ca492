//! The four forms of a request target (RFC 9112 3.2).

use crate::{Method, Span};

/// A request target, taken apart. Spans are offsets into the parsed slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `/path?query`: the usual form.
    Origin {
        /// Path and query, beginning with `/`.
        path: Span,
    },
    /// `http://authority/path?query`: as sent to a proxy.
    Absolute {
        /// `http` or `https`, in the client's spelling.
        scheme: Span,
        /// Host and port as written; never empty. [`crate::host`] validates it.
        authority: Span,
        /// Path and query; empty, or begins with `/` or `?`.
        path: Span,
    },
    /// `host:port`: only with `CONNECT`.
    Authority {
        /// Host and port as written.
        authority: Span,
    },
    /// `*`: only with `OPTIONS`.
    Asterisk,
}

impl Default for Target {
    fn default() -> Self {
        Self::Origin {
            path: Span::default(),
        }
    }
}

impl Target {
    /// Path and query as written; empty for the forms that have none.
    #[inline]
    #[must_use]
    pub fn path(self) -> Span {
        match self {
            Self::Origin { path } | Self::Absolute { path, .. } => path,
            Self::Authority { .. } | Self::Asterisk => Span::default(),
        }
    }

    /// `None` when the form does not belong to the method or is none of the four.
    #[inline]
    pub(crate) fn parse(method: Method, target: &[u8], start: usize) -> Option<Self> {
        let span = |from: usize, to: usize| Span::new(start + from, start + to);
        match (method, target) {
            (Method::Connect, [b'/', ..] | [] | [b'*']) => None,
            (Method::Connect, _) => Some(Self::Authority {
                authority: span(0, target.len()),
            }),
            (_, [b'/', ..]) => Some(Self::Origin {
                path: span(0, target.len()),
            }),
            // RFC 9112 3.2.4: the asterisk form belongs to OPTIONS.
            (Method::Options, b"*") => Some(Self::Asterisk),
            _ => {
                let scheme = scheme_length(target)?;
                let authority = scheme + "://".len();
                let rest = &target[authority..];
                let length = rest
                    .iter()
                    .position(|byte| matches!(byte, b'/' | b'?'))
                    .unwrap_or(rest.len());
                (length > 0).then(|| Self::Absolute {
                    scheme: span(0, scheme),
                    authority: span(authority, authority + length),
                    path: span(authority + length, target.len()),
                })
            }
        }
    }
}

fn scheme_length(target: &[u8]) -> Option<usize> {
    ["http", "https"].into_iter().map(str::len).find(|&length| {
        target.get(length..length + 3) == Some(b"://")
            && (target[..length].eq_ignore_ascii_case(b"http")
                || target[..length].eq_ignore_ascii_case(b"https"))
    })
}
