//! The admin API through the binary.

mod api;
mod commands;
mod endpoints;
mod scrape;
mod secrets;
mod tenants;
