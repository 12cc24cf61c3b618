//! The certificate authority of an installation and the leaf certificates it signs.

pub mod authority;
pub mod leaf;

pub use authority::{Authority, AuthorityError};
pub use leaf::LeafCertificates;
