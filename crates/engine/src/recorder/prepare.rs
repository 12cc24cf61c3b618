//! What is done to an exchange before it reaches any disk.

use mimeo_model::Exchange;
use mimeo_rules::detect::graphql;
use mimeo_rules::redaction::{self, Redactor};

/// Hides credentials and notes GraphQL operations.
pub(crate) struct Prepare {
    redactor: Option<Redactor>,
}

impl Prepare {
    pub(crate) fn new(redactor: Option<Redactor>) -> Self {
        Self { redactor }
    }

    /// Doing it twice is doing it once.
    pub(crate) fn apply(&self, exchange: &mut Exchange) {
        if exchange.graphql.is_empty() {
            exchange.graphql = graphql::operations(&exchange.request);
        }
        match &self.redactor {
            Some(redactor) => redactor.redact(exchange),
            // Credentials are kept where they were asked to be kept; a URL is no place for them.
            None => redaction::strip_userinfo(exchange),
        }
    }
}
