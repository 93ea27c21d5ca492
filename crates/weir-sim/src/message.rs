//! HTTP/1.1 messages as the scripted peers read them. Strict, small and their own: whoever judges weir must not share
//! its parsers.

use std::collections::VecDeque;

/// What a reader found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The start line and the fields, names in lower case.
    Head(Head),
    /// The message is over; how long its body was, and whether every byte was the one that belongs there.
    End { length: u64, is_intact: bool },
}

/// A head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) start: String,
    pub(crate) fields: Vec<(String, String)>,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Head,
    Length(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    UntilClose,
}

/// Reads messages of one direction of a connection.
#[derive(Debug)]
pub(crate) struct Reader {
    is_client: bool,
    buffer: VecDeque<u8>,
    rest: Rest,
    /// Responses to come that have no body, by order: those to HEAD.
    bodiless: VecDeque<bool>,
    length: u64,
    /// Whose bytes the body should have.
    pattern: Option<u64>,
    is_intact: bool,
}

/// The byte at one place of the body of the request or response with this number.
pub(crate) fn body_byte(id: u64, at: u64) -> u8 {
    (id.wrapping_mul(31).wrapping_add(at.wrapping_mul(7)) % 251) as u8
}

/// A whole body.
pub(crate) fn body(id: u64, length: u64) -> Vec<u8> {
    (0..length).map(|at| body_byte(id, at)).collect()
}

impl Head {
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(other, _)| other == name);
        values.next().map(|(_, value)| &**value)
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.value(name)?.parse().ok()
    }

    /// The status of a response.
    pub(crate) fn status(&self) -> u16 {
        let word = self.start.split(' ').nth(1);
        word.and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    /// The method and the target of a request.
    pub(crate) fn request(&self) -> (&str, &str) {
        let mut words = self.start.split(' ');
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }
}

impl Reader {
    /// Of requests.
    pub(crate) fn of_requests() -> Self {
        Self {
            is_client: false,
            buffer: VecDeque::new(),
            rest: Rest::Head,
            bodiless: VecDeque::new(),
            length: 0,
            pattern: None,
            is_intact: true,
        }
    }

    /// Of responses.
    pub(crate) fn of_responses() -> Self {
        Self {
            is_client: true,
            ..Self::of_requests()
        }
    }

    /// Another response is to come.
    pub(crate) fn expect_response(&mut self, is_bodiless: bool) {
        self.bodiless.push_back(is_bodiless);
    }

    /// More bytes have come: what they amount to, or why they are no message.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Part>, String> {
        self.buffer.extend(bytes);
        let mut parts = Vec::new();
        while self.step(&mut parts)? {}
        Ok(parts)
    }

    /// The stream is over: the last part, if a message ends with it, or an error if one is cut.
    pub(crate) fn end(&mut self) -> Result<Option<Part>, String> {
        match self.rest {
            Rest::Head if self.buffer.is_empty() => Ok(None),
            Rest::UntilClose => Ok(Some(self.finish())),
            _ => Err(format!(
                "cut in {:?} after {} bytes of body",
                self.rest, self.length
            )),
        }
    }

    fn step(&mut self, parts: &mut Vec<Part>) -> Result<bool, String> {
        match self.rest {
            Rest::Head => {
                let Some(head) = self.take_head()? else {
                    return Ok(false);
                };
                let is_final = !self.is_client || head.status() >= 200;
                let rest = self.rest_after(&head)?;
                self.pattern = head.number("x-sim-id");
                (self.length, self.is_intact) = (0, true);
                parts.push(Part::Head(head));
                if is_final {
                    self.rest = rest;
                }
            }
            Rest::Length(0) => parts.push(self.finish()),
            Rest::Length(left) | Rest::ChunkData(left) => return Ok(self.take_body(left)),
            Rest::UntilClose => {
                let left = self.buffer.len() as u64;
                self.take_body(left);
                return Ok(false);
            }
            Rest::ChunkSize | Rest::ChunkEnd | Rest::Trailers => {
                let Some(line) = self.take_line()? else {
                    return Ok(false);
                };
                self.take_chunk_line(&line, parts)?;
            }
        }
        Ok(true)
    }

    fn take_chunk_line(&mut self, line: &str, parts: &mut Vec<Part>) -> Result<(), String> {
        self.rest = match (self.rest, line) {
            (Rest::ChunkSize, size) => match u64::from_str_radix(size, 16) {
                Ok(0) => Rest::Trailers,
                Ok(size) => Rest::ChunkData(size),
                Err(_) => return Err(format!("chunk size {size:?}")),
            },
            (Rest::ChunkEnd, "") => Rest::ChunkSize,
            (Rest::Trailers, "") => {
                parts.push(self.finish());
                return Ok(());
            }
            (Rest::Trailers, _) => Rest::Trailers,
            (rest, line) => return Err(format!("{line:?} in {rest:?}")),
        };
        Ok(())
    }

    /// Takes up to `left` bytes of the body; `false` when more must come first.
    fn take_body(&mut self, left: u64) -> bool {
        let length = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        for byte in self.buffer.drain(..length) {
            if let Some(pattern) = self.pattern {
                self.is_intact &= byte == body_byte(pattern, self.length);
            }
            self.length += 1;
        }
        let left = left - length as u64;
        self.rest = match self.rest {
            Rest::Length(_) => Rest::Length(left),
            Rest::ChunkData(_) if left == 0 => Rest::ChunkEnd,
            Rest::ChunkData(_) => Rest::ChunkData(left),
            rest => rest,
        };
        left == 0
    }

    fn finish(&mut self) -> Part {
        self.rest = Rest::Head;
        Part::End {
            length: self.length,
            is_intact: self.is_intact,
        }
    }

    fn take_line(&mut self) -> Result<Option<String>, String> {
        let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
        line.pop();
        if line.pop() != Some(b'\r') {
            return Err("a line without CR".into());
        }
        String::from_utf8(line)
            .map(Some)
            .map_err(|_| "a line that is no text".into())
    }

    fn take_head(&mut self) -> Result<Option<Head>, String> {
        let text = self.buffer.make_contiguous();
        let Some(_) = text.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let mut head = Head {
            start: self.take_line()?.unwrap_or_default(),
            ..Head::default()
        };
        let is_start = if self.is_client {
            head.start.starts_with("HTTP/1.1 ") && head.status() >= 100
        } else {
            head.start.ends_with(" HTTP/1.1") && head.start.split(' ').count() == 3
        };
        if !is_start {
            return Err(format!("start line {:?}", head.start));
        }
        while let Some(line) = self.take_line()?.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").ok_or_else(|| format!("field {line:?}"))?;
            head.fields.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Ok(Some(head))
    }

    /// How the body behind a head ends (RFC 9112 6.3).
    fn rest_after(&mut self, head: &Head) -> Result<Rest, String> {
        if self.is_client && head.status() < 200 {
            return Ok(Rest::Head);
        }
        if self.is_client {
            let is_bodiless = self
                .bodiless
                .pop_front()
                .ok_or("a response that nobody asked for")?;
            if is_bodiless || matches!(head.status(), 204 | 304) {
                return Ok(Rest::Length(0));
            }
        }
        let chunked = head.value("transfer-encoding");
        match (chunked, head.value("content-length")) {
            (Some("chunked"), None) => Ok(Rest::ChunkSize),
            (None, Some(length)) => length
                .parse()
                .map(Rest::Length)
                .map_err(|_| format!("content-length {length:?}")),
            (None, None) if self.is_client => Ok(Rest::UntilClose),
            (None, None) => Ok(Rest::Length(0)),
            (coding, length) => Err(format!("framing {coding:?} and {length:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart_however_they_are_cut() {
        let text = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n";
        for cut in 1..text.len() {
            let mut reader = Reader::of_requests();
            let mut parts = Vec::new();
            for piece in text.chunks(cut) {
                parts.extend(reader.feed(piece).unwrap_or_default());
            }
            let lengths: Vec<u64> = parts
                .iter()
                .filter_map(|part| match part {
                    Part::End { length, .. } => Some(*length),
                    Part::Head(_) => None,
                })
                .collect();
            assert_eq!((parts.len(), lengths), (4, vec![2, 0]), "cut at {cut}");
            assert!(reader.rest == Rest::Head && reader.buffer.is_empty());
        }
    }

    #[test]
    fn what_is_no_message_is_told() {
        for text in [
            "GET / HTTP/1.1\n\n\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        ] {
            assert!(Reader::of_requests().feed(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(
            Reader::of_responses().feed(b"HTTP/1.1 200 OK\r\n\r\n").is_err(),
            "unasked"
        );
    }
}
