//! The response of an echo backend: its head, and a body that is never held in memory when it is filler.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncWrite, AsyncWriteExt};
use weir_wire::h1::status::reason_phrase;

/// One line of filler, 64 bytes.
const FILLER: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n";
/// Filler is written in blocks of this many bytes.
const BLOCK_BYTES: usize = 16 * 1024;

/// What follows the head.
#[derive(Debug)]
pub(crate) enum Body {
    /// These bytes.
    Bytes(Vec<u8>),
    /// That many bytes of filler.
    Filler(u64),
}

impl Body {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Filler(length) => *length,
        }
    }
}

/// One response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    /// Further fields, already valid.
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) body: Body,
    /// Size of the chunks; `None` sends `Content-Length`.
    pub(crate) chunk: Option<usize>,
    /// The request was `HEAD`: the head is the same, the body is not sent (RFC 9110 9.3.2).
    pub(crate) head_only: bool,
    /// Whether the connection ends after this response.
    pub(crate) close: bool,
    /// The client speaks HTTP/1.0: no chunks (RFC 9112 6.1), and keeping alive must be said (RFC 9112 C.2.2).
    pub(crate) http_1_0: bool,
}

impl Answer {
    /// Writes head and body.
    ///
    /// # Errors
    /// The client went away.
    pub(crate) async fn write(&self, out: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
        let mut head = self.head();
        if !self.has_body() {
            return out.write_all(&head).await;
        }
        match (&self.body, self.chunk.filter(|_| !self.http_1_0)) {
            (Body::Bytes(bytes), None) => {
                head.extend_from_slice(bytes);
                out.write_all(&head).await
            }
            (Body::Filler(length), None) => {
                out.write_all(&head).await?;
                write_filler(out, 0, *length).await
            }
            (_, Some(chunk)) => {
                out.write_all(&head).await?;
                self.write_chunks(out, chunk).await
            }
        }
    }

    async fn write_chunks(&self, out: &mut (impl AsyncWrite + Unpin), chunk: usize) -> std::io::Result<()> {
        let length = self.body.length();
        let mut sent = 0u64;
        while sent < length {
            let size = (length - sent).min(chunk as u64);
            out.write_all(format!("{size:x}\r\n").as_bytes()).await?;
            match &self.body {
                Body::Bytes(bytes) => {
                    // Within the vector: `sent + size` is at most its length.
                    out.write_all(&bytes[sent as usize..(sent + size) as usize])
                        .await?;
                }
                Body::Filler(_) => write_filler(out, sent, size).await?,
            }
            out.write_all(b"\r\n").await?;
            sent += size;
        }
        out.write_all(b"0\r\n\r\n").await
    }

    fn head(&self) -> Vec<u8> {
        let mut out = String::with_capacity(1024);
        let mut line = |text: std::fmt::Arguments<'_>| {
            // Writing into a string cannot fail.
            let _written = write!(out, "{text}\r\n");
        };
        line(format_args!(
            "HTTP/1.1 {} {}",
            self.status,
            reason_phrase(self.status)
        ));
        line(format_args!("Content-Type: {}", self.content_type));
        line(format_args!("X-Content-Type-Options: nosniff"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        line(format_args!("Date: {}", http_date(now.as_secs())));
        for (name, value) in &self.fields {
            line(format_args!("{name}: {value}"));
        }
        match self.chunk.filter(|_| !self.http_1_0) {
            // RFC 9110 8.6, RFC 9112 6.1: neither field with 204.
            _ if self.status == 204 => {}
            Some(_) => line(format_args!("Transfer-Encoding: chunked")),
            None => line(format_args!("Content-Length: {}", self.body.length())),
        }
        if self.close {
            line(format_args!("Connection: close"));
        } else if self.http_1_0 {
            line(format_args!("Connection: keep-alive"));
        }
        line(format_args!(""));
        out.into_bytes()
    }

    /// RFC 9112 6.3: no body after `HEAD`, 204 and 304.
    fn has_body(&self) -> bool {
        !self.head_only && self.status != 204 && self.status != 304
    }
}

async fn write_filler(out: &mut (impl AsyncWrite + Unpin), from: u64, length: u64) -> std::io::Result<()> {
    let mut block = Vec::with_capacity(BLOCK_BYTES + FILLER.len());
    while block.len() < BLOCK_BYTES + FILLER.len() {
        block.extend_from_slice(FILLER);
    }
    let offset = (from % FILLER.len() as u64) as usize;
    let mut left = length;
    while left > 0 {
        let size = left.min(BLOCK_BYTES as u64) as usize;
        out.write_all(&block[offset..offset + size]).await?;
        left -= size as u64;
    }
    Ok(())
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 5.6.7) of seconds since the epoch.
fn http_date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    // Days are counted from 1 March of year 0, so that the leap day is the last day of its year.
    let shifted = day + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = year_of_era + era * 400 + u64::from(month < 2);
    format!(
        "{}, {day_of_month:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        DAYS[(day % 7) as usize],
        MONTHS[month as usize],
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_rfc_9110_5_6_7() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(http_date(seconds), text);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn filler_is_the_same_bytes_whole_or_in_chunks() {
        let answer = |chunk| Answer {
            status: 200,
            content_type: "text/plain",
            fields: Vec::new(),
            body: Body::Filler(40_000),
            chunk,
            head_only: false,
            close: false,
            http_1_0: false,
        };
        let body = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).expect("ASCII");
            text.split_once("\r\n\r\n").expect("a head").1.to_owned()
        };
        let mut whole = Vec::new();
        answer(None).write(&mut whole).await.expect("memory");
        let whole = body(&whole);
        assert_eq!(whole.len(), 40_000);
        let mut chunked = Vec::new();
        answer(Some(1000)).write(&mut chunked).await.expect("memory");
        let mut rest = body(&chunked);
        let mut joined = String::new();
        for _ in 0..40 {
            rest = rest
                .strip_prefix("3e8\r\n")
                .expect("a chunk of 1000 bytes")
                .to_owned();
            joined.push_str(&rest[..1000]);
            rest = rest[1000..]
                .strip_prefix("\r\n")
                .expect("the end of a chunk")
                .to_owned();
        }
        assert_eq!(rest, "0\r\n\r\n");
        assert!(joined == whole);
    }
}
