//! What a request is addressed to (RFC 9112, section 3.2) and what an upstream URL names.

use std::fmt;
use std::sync::Arc;

use mimeo_model::Scheme;

/// Host and port with the scheme that is spoken there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// What is spoken.
    pub scheme: Scheme,
    /// Name or address, lower case, an IPv6 address without its brackets, no trailing dot.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Origin {
    /// Host, and port unless it is the scheme's own, as it stands in a URL and in `Host`.
    pub fn authority(&self) -> String {
        let mut text = String::with_capacity(self.host.len() + 8);
        if self.host.contains(':') {
            text.extend(["[", &self.host, "]"]);
        } else {
            text.push_str(&self.host);
        }
        if self.port != self.scheme.default_port() {
            text.push(':');
            let digits = [10_000, 1_000, 100, 10, 1].map(|unit| self.port / unit);
            let shown = digits.iter().filter(|digits| **digits > 0);
            text.extend(shown.map(|digits| char::from(b'0' + (digits % 10) as u8)));
        }
        text
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

/// An upstream as a person names it: an origin and the path all requests go below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl {
    /// Where to connect.
    pub origin: Arc<Origin>,
    /// Path prefix without a trailing slash; empty for the root.
    pub base_path: String,
}

/// Why a text does not name a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// There is no scheme.
    #[error("there is no scheme")]
    NoScheme,
    /// The scheme is neither http nor https.
    #[error("the scheme is not http or https")]
    Scheme,
    /// There are credentials before the host.
    #[error("credentials do not belong into the URL")]
    Credentials,
    /// There is a query or a fragment.
    #[error("a query or fragment does not belong here")]
    Query,
    /// The host is missing or malformed.
    #[error("the host is missing or malformed")]
    Host,
    /// The port is missing or not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

/// Reads an upstream URL such as `https://api.example.com/base`.
pub fn upstream_url(text: &str) -> Result<UpstreamUrl, TargetError> {
    let (scheme, rest) = text.split_once("://").ok_or(TargetError::NoScheme)?;
    let scheme = scheme_of(scheme)?;
    let path_at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path_at);
    if authority.contains('@') {
        return Err(TargetError::Credentials);
    }
    if path.contains(['?', '#']) {
        return Err(TargetError::Query);
    }
    let (host, port) = host_and_port(authority)?;
    Ok(UpstreamUrl {
        origin: Arc::new(Origin { scheme, host, port: port.unwrap_or(scheme.default_port()) }),
        base_path: path.trim_end_matches('/').to_owned(),
    })
}

/// Splits an absolute-form target into its origin and the rest, which begins with `/`.
pub fn absolute_form(target: &[u8]) -> Result<(Origin, &[u8]), TargetError> {
    let at = target.windows(3).position(|window| window == b"://").ok_or(TargetError::NoScheme)?;
    let scheme = scheme_of(std::str::from_utf8(&target[..at]).map_err(|_| TargetError::Scheme)?)?;
    let rest = &target[at + 3..];
    let path_at = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path_at);
    let authority = std::str::from_utf8(authority).map_err(|_| TargetError::Host)?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = host_and_port(authority)?;
    if path.contains(&b'#') {
        return Err(TargetError::Query);
    }
    Ok((Origin { scheme, host, port: port.unwrap_or(scheme.default_port()) }, path))
}

/// Reads the authority-form target of CONNECT; the port is required.
pub fn authority_form(target: &[u8]) -> Result<(String, u16), TargetError> {
    let text = std::str::from_utf8(target).map_err(|_| TargetError::Host)?;
    let (host, port) = host_and_port(text)?;
    Ok((host, port.ok_or(TargetError::Port)?))
}

/// Reads `host[:port]` into a normal form.
pub fn host_and_port(text: &str) -> Result<(String, Option<u16>), TargetError> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(TargetError::Host)?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| TargetError::Host)?;
        match rest {
            "" => (host, None),
            _ => (host, Some(rest.strip_prefix(':').ok_or(TargetError::Host)?)),
        }
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if !text.starts_with('[') && !is_host_name(host.strip_suffix('.').unwrap_or(host)) {
        return Err(TargetError::Host);
    }
    let port = match port {
        None => None,
        Some(digits) if digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port != 0).ok_or(TargetError::Port)?)
        }
        Some(_) => return Err(TargetError::Port),
    };
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    Ok((host, port))
}

fn scheme_of(text: &str) -> Result<Scheme, TargetError> {
    match text.to_ascii_lowercase().as_str() {
        "http" => Ok(Scheme::Http),
        "https" => Ok(Scheme::Https),
        _ => Err(TargetError::Scheme),
    }
}

/// Letters, digits, hyphens and underscores in labels of at most 63 bytes, 253 in all (RFC 1123, 2.1;
/// underscores are common in container networks).
fn is_host_name(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_urls_are_read() {
        let url = upstream_url("https://API.example.com./v1/").expect("valid");
        assert_eq!(url.origin.to_string(), "https://api.example.com");
        assert_eq!(url.base_path, "/v1");
        assert_eq!(upstream_url("http://[::1]:3000").expect("valid").origin.authority(), "[::1]:3000");
        for (text, error) in [
            ("api.example.com", TargetError::NoScheme),
            ("ftp://x", TargetError::Scheme),
            ("http://u:p@x", TargetError::Credentials),
            ("http://x/?a", TargetError::Query),
            ("http://", TargetError::Host),
            ("http://a b", TargetError::Host),
            ("http://x:0", TargetError::Port),
            ("http://x:99999", TargetError::Port),
            ("http://::1", TargetError::Host),
        ] {
            assert_eq!(upstream_url(text), Err(error), "{text}");
        }
    }

    #[test]
    fn connect_targets_need_a_port() {
        assert_eq!(authority_form(b"a.example:443"), Ok(("a.example".into(), 443)));
        assert_eq!(authority_form(b"[::1]:443"), Ok(("::1".into(), 443)));
        for target in
            [&b"a.example"[..], b"a.example:0", b"a.example:70000", b"a.example:abc", b"::1:443", b":443"]
        {
            assert!(authority_form(target).is_err(), "{}", String::from_utf8_lossy(target));
        }
    }

    #[test]
    fn absolute_targets_keep_their_path_byte_for_byte() {
        let (origin, path) = absolute_form(b"http://u:p@A:81/%zz//\xff?q=1").expect("valid");
        assert_eq!(origin.to_string(), "http://a:81");
        assert_eq!(path, b"/%zz//\xff?q=1");
    }
}
