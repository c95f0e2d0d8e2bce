//! `s3://bucket/prefix`: where, and nothing of how. Endpoint and credentials never stand in it.

use std::fmt;

use crate::store::StoreError;

/// A place in a bucket. The prefix has no slash at its ends, and is empty for the whole bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct S3Place {
    bucket: String,
    prefix: String,
}

impl S3Place {
    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What stands before every object's name, without the slash between them.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let rest = url.strip_prefix("s3://").ok_or(StoreError::MalformedS3)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.contains('@') {
            return Err(StoreError::CredentialsInLocation);
        }
        let components: Vec<&str> = prefix.split('/').filter(|component| !component.is_empty()).collect();
        let is_valid = is_bucket(bucket) && components.iter().all(|component| is_component(component));
        if !is_valid {
            return Err(StoreError::MalformedS3);
        }
        Ok(Self { bucket: bucket.into(), prefix: components.join("/") })
    }
}

/// Amazon's rules, and the older ones that some stores keep to: capitals and underscores.
fn is_bucket(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (3..=255).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(allowed)
}

/// Letters, digits and what needs no quoting anywhere.
fn is_component(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+=@,".contains(&byte);
    text != "." && text != ".." && text.bytes().all(allowed)
}

impl fmt::Display for S3Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "s3://{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(out, "/{}", self.prefix) }
    }
}
