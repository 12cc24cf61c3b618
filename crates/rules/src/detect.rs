//! What a request is beyond HTTP.

pub mod aws;
pub mod graphql;
mod parameter;
pub mod path_template;
