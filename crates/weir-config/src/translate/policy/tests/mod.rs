//! Policies by themselves (`rules`), and where they meet (`places`).

mod places;
mod rules;
