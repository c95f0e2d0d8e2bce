//! The lines of a credentials file: `[profile]`, and `name = value` below it.

use zeroize::Zeroizing;

use super::credentials::AccessKey;

/// The access key of a profile; without a profile, of the lines before the first section or of the only one.
pub(super) fn key(text: &str, profile: Option<&str>) -> Result<AccessKey, String> {
    let (mut id, mut secret, mut session_token) = (None, None, None);
    let mut is_wanted = profile.is_none();
    let mut is_found = is_wanted;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            is_wanted = profile.is_none_or(|profile| section.trim() == profile);
            is_found |= is_wanted;
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| is_wanted) else { continue };
        let value = value.trim().to_owned();
        match name.trim() {
            "aws_access_key_id" => id = Some(value),
            "aws_secret_access_key" => secret = Some(Zeroizing::new(value)),
            "aws_session_token" => session_token = Some(Zeroizing::new(value)),
            _ => {}
        }
    }
    let section = profile.unwrap_or_default();
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(AccessKey { id, secret, session_token }),
        _ if !is_found => Err(format!("it has no section [{section}]")),
        (None, _) => Err(format!("the section [{section}] has no aws_access_key_id")),
        (_, None) => Err(format!("the section [{section}] has no aws_secret_access_key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a comment\n[default]\naws_access_key_id = A\naws_secret_access_key=a=b/+c\nregion = x\n\n[ backup ]\r\naws_secret_access_key = b\r\naws_access_key_id = B\r\naws_session_token = t\r\n[half]\naws_access_key_id = H\n[none]\n";

    #[test]
    fn profiles_are_told_apart() {
        let found = key(TEXT, Some("default")).expect("default");
        assert_eq!((found.id.as_str(), found.secret.as_str(), found.session_token), ("A", "a=b/+c", None));
        let found = key(TEXT, Some("backup")).expect("backup");
        assert_eq!((found.id.as_str(), found.secret.as_str()), ("B", "b"));
        assert_eq!(found.session_token.expect("token").as_str(), "t");
    }

    #[test]
    fn what_is_missing_is_named() {
        let check = |profile, expect| assert_eq!(key(TEXT, Some(profile)).expect_err(profile), expect);
        check("half", "the section [half] has no aws_secret_access_key");
        check("none", "the section [none] has no aws_access_key_id");
        check("absent", "it has no section [absent]");
        assert!(key("", None).is_err());
    }
}
