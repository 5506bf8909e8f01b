//! The Rust blocks of the document. [`App`] and [`User`] are those of the application.

pub(crate) mod application;
pub(crate) mod broadcast;
pub(crate) mod echo;
pub(crate) mod tungstenite_client;
pub(crate) mod tungstenite_server;

#[derive(Clone)]
pub struct App {
    pub(crate) name: &'static str,
}

#[derive(Clone)]
pub struct User {
    pub(crate) name: String,
}
