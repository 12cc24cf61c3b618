//! What is done to an exchange before it reaches any disk.

use mimeo_model::Exchange;
use mimeo_rules::detect::graphql;
use mimeo_rules::redaction::Redactor;

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
        if let Some(redactor) = &self.redactor {
            redactor.redact(exchange);
        }
    }
}
