//! Policies by themselves (`rules`, `health`, `upstream`, `traffic`), and where they meet (`places`, `effects`).

mod algorithms;
mod effects;
mod health;
mod judge;
mod places;
mod rules;
mod traffic;
mod upstream;
