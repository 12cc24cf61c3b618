//! What a request is beyond HTTP.

pub mod aws;
pub mod graphql;
