//! Which AWS service and action a request is for.

use std::borrow::Cow;

use mimeo_model::Request;
use mimeo_model::body::media_type::MediaType;

use crate::detect::parameter::parameter;

/// An AWS call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AwsCall {
    /// The service as the credential scope names it, lower case: `s3`, `dynamodb`.
    pub service: String,
    /// The action where the protocol names one: `PutItem`, `SendMessage`.
    pub action: Option<String>,
}

/// Reads service and action from the credential scope of a SigV4 `Authorization` (its fourth part), from
/// `X-Amz-Target`, or from an `Action` in the query or a form body; `None` when the request is no AWS call.
pub fn call(request: &Request) -> Option<AwsCall> {
    let service = of_authorization(request).or_else(|| of_presigned(request))?;
    let target = request.headers.get_str("x-amz-target").and_then(|target| target.rsplit('.').next());
    let action = target.map(str::to_owned).or_else(|| {
        let query = request.query().and_then(|query| parameter(query, "Action"));
        let action = query.or_else(|| {
            let form = MediaType::of(request.headers.get("content-type")) == MediaType::Form;
            request.body.inline().filter(|_| form).and_then(|body| parameter(body, "Action"))
        });
        action.map(Cow::into_owned)
    });
    let action = action.filter(|action| action.chars().all(|character| character.is_ascii_alphanumeric()));
    Some(AwsCall { service, action: action.filter(|action| !action.is_empty()) })
}

fn of_authorization(request: &Request) -> Option<String> {
    let value = request.headers.get_str("authorization")?;
    let parameters = ["AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"]
        .iter()
        .find_map(|scheme| value.strip_prefix(scheme))?;
    let credential = parameters.split_once("Credential=")?.1;
    scope_service(credential.split([',', ' ']).next()?)
}

fn of_presigned(request: &Request) -> Option<String> {
    scope_service(&parameter(request.query()?, "X-Amz-Credential")?)
}

/// `AKID/20260101/us-east-1/s3/aws4_request`, without the region in version 4A: the access key may be hidden and
/// may hold a slash, so the parts are counted from the end.
fn scope_service(scope: &str) -> Option<String> {
    let (_, service) = scope.strip_suffix("/aws4_request")?.rsplit_once('/')?;
    (!service.is_empty()).then(|| service.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use mimeo_model::{Body, Headers, Method, Scheme, Version};

    use super::*;

    fn seen(target: &str, fields: &[(&str, &str)], body: &str) -> Option<(String, Option<String>)> {
        let request = Request {
            method: Method::POST,
            scheme: Scheme::Https,
            authority: "a".into(),
            target: Bytes::copy_from_slice(target.as_bytes()),
            version: Version::Http11,
            headers: fields.iter().copied().collect::<Headers>(),
            body: Body::from_bytes(body.to_owned()),
            trailers: Headers::new(),
        };
        call(&request).map(|call| (call.service, call.action))
    }

    #[test]
    fn service_and_action_are_read_from_every_protocol() {
        let signed = |service: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host"
            )
        };
        let (dynamo, sqs, s3) = (signed("dynamodb"), signed("sqs"), signed("s3"));
        assert_eq!(
            seen("/", &[("Authorization", &dynamo), ("X-Amz-Target", "DynamoDB_20120810.PutItem")], ""),
            Some(("dynamodb".into(), Some("PutItem".into())))
        );
        let hidden = dynamo.replace("AKID", "[REDACTED:0123456789ab]");
        assert_eq!(seen("/", &[("Authorization", &hidden)], ""), Some(("dynamodb".into(), None)));
        let form = ("Content-Type", "application/x-www-form-urlencoded");
        assert_eq!(
            seen("/", &[("Authorization", &sqs), form], "Action=SendMessage&Version=1"),
            Some(("sqs".into(), Some("SendMessage".into())))
        );
        assert_eq!(seen("/bucket/key", &[("Authorization", &s3)], ""), Some(("s3".into(), None)));
        assert_eq!(
            seen("/b?X-Amz-Credential=A%2F20260101%2Fus-east-1%2Fs3%2Faws4_request", &[], ""),
            Some(("s3".into(), None))
        );
        assert_eq!(
            seen("/?Action=ListUsers&Version=1", &[("Authorization", &signed("IAM"))], ""),
            Some(("iam".into(), Some("ListUsers".into())))
        );
        let asymmetric =
            "AWS4-ECDSA-P256-SHA256 Credential=AKID/20260101/s3/aws4_request, SignedHeaders=host";
        assert_eq!(seen("/", &[("Authorization", asymmetric)], ""), Some(("s3".into(), None)));
        let odd = ("X-Amz-Target", "a.b c");
        assert_eq!(seen("/", &[("Authorization", &dynamo), odd], ""), Some(("dynamodb".into(), None)));
        for no_call in ["Bearer x", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=/aws4_request"] {
            assert_eq!(seen("/?Action=Go", &[("Authorization", no_call)], ""), None);
        }
    }
}
