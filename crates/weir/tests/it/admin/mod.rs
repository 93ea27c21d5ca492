//! The admin API through the binary.

mod api;
mod commands;
mod default_place;
mod endpoints;
mod scrape;
mod secrets;
mod tenants;
