//! The picture of a running weir as one screen of text.

mod cells;
mod text;

pub(crate) use text::{Style, screen_text};
