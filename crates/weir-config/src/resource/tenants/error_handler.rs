//! `error_handlers`: what a tenant with explicit routes answers when none of them fits (row KT30).

use weir_model::ReplacedAnswer;

use crate::resource::decode::{Decoder, Field};
use crate::yaml::Finding;

/// What is answered; `None`: weir's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorHandlers {
    /// `not_found`: no route has the path.
    pub not_found: Option<ReplacedAnswer>,
    /// `method_not_allowed`: a route has the path, none the method.
    pub method_not_allowed: Option<ReplacedAnswer>,
}

/// Reads the block. What cannot be read is left out: the status is right all the same.
pub(super) fn decode(decoder: &mut Decoder, field: Field<'_>) -> ErrorHandlers {
    let mark = decoder.mark();
    let mut handlers = ErrorHandlers::default();
    if let Some(fields) = decoder.fields(field, &["not_found", "method_not_allowed"]) {
        let mut read = |name| fields.optional(name).and_then(|field| answer(decoder, field));
        handlers.not_found = read("not_found");
        handlers.method_not_allowed = read("method_not_allowed");
    }
    decoder.effect_since(mark, "the answer has the right status, and weir's own words");
    handlers
}

fn answer(decoder: &mut Decoder, field: Field<'_>) -> Option<ReplacedAnswer> {
    if field.node.scalar().is_some() {
        let finding = Finding::new("W0401", field.span(), "handlers are not supported yet");
        decoder.report(
            finding
                .label("a script is not run")
                .help("write what is to be answered: {status: 404, content_type: text/html, body: \"...\"}")
                .effect("the answer has the right status, and weir's own words"),
        );
        return None;
    }
    let fields = decoder.fields(field, &["status", "content_type", "body"])?;
    let mut answer = ReplacedAnswer::default();
    if let Some(field) = fields.optional("status") {
        answer.status = u16::try_from(decoder.integer(field, 200..=599)?.value).ok();
    }
    if let Some(field) = fields.optional("content_type") {
        let text = decoder.nonempty(field)?;
        if !text
            .chars()
            .all(|letter| letter.is_ascii_graphic() || letter == ' ')
        {
            let message = format!("\"{}\" is not a media type", text.value.escape_debug());
            decoder.report(Finding::new("E0103", text.span, message));
            return None;
        }
        answer.content_type = Some(text.value);
    }
    if let Some(field) = fields.optional("body") {
        answer.body = Some(decoder.text(field)?.value.as_bytes().into());
    }
    Some(answer)
}
