//! Which fields and parameters of a request are secrets, and are shown as `***` only.

/// What is shown instead.
pub const MASK: &str = "***";

/// Field names that carry secrets (RFC 9110, 11; RFC 6265).
const SECRET_FIELDS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
/// Parts of names, of fields and of query parameters, that tell a secret.
const SECRET_WORDS: [&str; 6] = ["token", "secret", "password", "passwd", "api-key", "apikey"];

/// The value of a field, or the mask.
pub fn masked_field<'a>(name: &str, value: &'a str) -> &'a str {
    let name = name.to_ascii_lowercase();
    if SECRET_FIELDS.contains(&name.as_str()) || is_secret(&name) { MASK } else { value }
}

/// A request target with the values of secret query parameters masked.
pub fn masked_target(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
    let parameter = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if is_secret(&name.to_ascii_lowercase()) => format!("{name}={MASK}"),
        Some(_) | None => pair.to_owned(),
    };
    let query: Vec<_> = query.split('&').map(parameter).collect();
    format!("{path}?{}", query.join("&"))
}

/// `name` in small letters.
fn is_secret(name: &str) -> bool {
    let name = name.replace('_', "-");
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_nothing_else_is() {
        for name in ["Authorization", "cookie", "Set-Cookie", "X-API-Key", "x_auth_token", "X-Csrf-Token"] {
            assert_eq!(masked_field(name, "value"), MASK, "{name}");
        }
        assert_eq!(masked_field("Content-Type", "text/html"), "text/html");
        assert_eq!(masked_target("/a/token?x=1&access_token=abc&y"), "/a/token?x=1&access_token=***&y");
        assert_eq!(masked_target("/plain"), "/plain");
    }
}
