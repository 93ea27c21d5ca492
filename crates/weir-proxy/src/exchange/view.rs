//! How the router and the balancer see a request.

use std::net::{IpAddr, SocketAddr};

use weir_balance::KeyView;
use weir_route::{HeaderView, RequestParts};
use weir_wire::{Known, cookie, query};

use super::Exchange;

/// The fields of a parsed head, of a request or a response. Values that are not UTF-8 count as missing.
pub(super) struct Fields<'a> {
    pub(super) fields: &'a weir_wire::Fields,
    pub(super) bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Those of the exchange's request.
    #[inline]
    pub(super) fn of_request(exchange: &'a Exchange<'_>) -> Self {
        Self {
            fields: &exchange.scratch.head.fields,
            bytes: exchange.head(),
        }
    }
}

impl Exchange<'_> {
    /// The request as matches see it; `fields` are its own.
    #[inline]
    pub(super) fn parts<'p>(&'p self, fields: &'p Fields<'p>) -> RequestParts<'p> {
        RequestParts {
            host: &self.scratch.host,
            path: self.path(),
            query: self.query(),
            method: self.scratch.head.method.name(fields.bytes),
            headers: fields,
        }
    }
}

impl HeaderView for Fields<'_> {
    fn value<'b>(&'b self, name: &str, joined: &'b mut String) -> Option<&'b str> {
        // `name` does not live as long as the values do, so the iterator of wire's `values_named` cannot be used.
        let is_named = |field: &&weir_wire::Field| {
            field.known != Known::Underscore
                && field.name.of(self.bytes).eq_ignore_ascii_case(name.as_bytes())
        };
        let mut values = self
            .fields
            .iter()
            .filter(is_named)
            .map(|field| field.value.of(self.bytes));
        let first = str::from_utf8(values.next()?).ok()?;
        let Some(second) = values.next() else {
            return Some(first);
        };
        joined.clear();
        joined.push_str(first);
        for value in std::iter::once(second).chain(values) {
            joined.push(',');
            joined.push_str(str::from_utf8(value).ok()?);
        }
        Some(joined)
    }
}

impl KeyView for Exchange<'_> {
    fn header_values<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        if name == "host" {
            return each(self.scratch.host.as_bytes());
        }
        let bytes = self.head();
        for field in &self.scratch.head.fields {
            if field.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()) {
                each(field.value.of(bytes));
            }
        }
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        cookie::value(
            self.scratch.head.fields.values(Known::Cookie, self.head()),
            name.as_bytes(),
        )
    }

    fn query_parameter(&self, name: &str) -> Option<&[u8]> {
        query::value(self.query()?, name).map(str::as_bytes)
    }

    fn client_ip(&self) -> IpAddr {
        self.request.client_ip
    }

    fn peer(&self) -> SocketAddr {
        self.client.peer
    }

    fn local(&self) -> SocketAddr {
        let client = &self.client;
        client
            .stream
            .local_address()
            .unwrap_or(client.open.listener().address)
    }
}
