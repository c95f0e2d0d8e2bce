//! Notices that are posted to a web server: as JSON with a signature, or as a text message of a chat's robot.

use aws_lc_rs::hmac;
use data_encoding::{BASE64, HEXLOWER};
use jiff::Timestamp;
use strongroom_plans::{Target, Url, Webhook, WebhookFormat};

use super::{Message, http, secret};

/// `sha256=` and the HMAC-SHA256 of the body in hex, by the secret of the webhook.
const SIGNATURE: &str = "Strongroom-Signature";

/// Robots refuse longer texts: 企业微信 takes 2048 bytes, 钉钉 20 000.
const TEXT_BYTES_MAX: usize = 2000;

pub(super) async fn send(hook: &Webhook, message: &Message) -> Result<(), String> {
    let secret = hook.secret_file().map(|file| secret::read(file.as_path())).transpose()?;
    let client = http::client(hook.ca_file())?;
    let url = match hook.target() {
        Target::Url(url) => url.clone(),
        Target::File(file) => {
            let text = secret::read(file.as_path())?;
            text.parse::<Url>().map_err(|refusal| format!("{file} holds no URL: {refusal}"))?
        }
    };
    let body = match hook.format() {
        WebhookFormat::Json => message.json(),
        WebhookFormat::Wecom | WebhookFormat::Dingtalk => robot_text(message),
    };
    let (url, signature) = match (hook.format(), &secret) {
        (WebhookFormat::Dingtalk, Some(secret)) => (dingtalk_url(&url, secret, Timestamp::now()), None),
        (_, Some(secret)) => {
            (url.as_str().to_owned(), Some(format!("sha256={}", HEXLOWER.encode(&mac(secret, &body)))))
        }
        (_, None) => (url.as_str().to_owned(), None),
    };
    let mut request = client.post(url).header("Content-Type", "application/json").body(body);
    if let Some(signature) = signature {
        request = request.header(SIGNATURE, signature);
    }
    let answer = http::call(request).await?;
    match hook.format() {
        WebhookFormat::Json => Ok(()),
        WebhookFormat::Wecom | WebhookFormat::Dingtalk => robot_agrees(&answer),
    }
}

/// Where a webhook is, for people.
pub(super) fn shown(hook: &Webhook) -> String {
    match hook.target() {
        Target::Url(url) => url.to_string(),
        Target::File(file) => format!("of {file}"),
    }
}

fn mac(secret: &str, bytes: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::sign(&key, bytes).as_ref().to_vec()
}

fn robot_text(message: &Message) -> Vec<u8> {
    let body = serde_json::json!({ "msgtype": "text", "text": { "content": message.text(TEXT_BYTES_MAX) } });
    body.to_string().into_bytes()
}

/// A robot answers 200 also to what it refuses; the number in its answer decides.
fn robot_agrees(answer: &str) -> Result<(), String> {
    let parsed: serde_json::Value = serde_json::from_str(answer).unwrap_or_default();
    match parsed["errcode"].as_i64() {
        Some(0) => Ok(()),
        Some(code) => Err(format!("the robot refused: {code} {}", parsed["errmsg"].as_str().unwrap_or_default())),
        None => Err("the robot's answer has no errcode".into()),
    }
}

/// The URL with the time and its signature, as 钉钉 wants them: the HMAC of `time\nsecret`, in Base64, escaped.
fn dingtalk_url(url: &Url, secret: &str, now: Timestamp) -> String {
    let time = now.as_millisecond();
    let signature = BASE64.encode(&mac(secret, format!("{time}\n{secret}").as_bytes()));
    let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let join = if url.as_str().contains('?') { '&' } else { '?' };
    format!("{}{join}timestamp={time}&sign={signature}", url.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python's hmac, as the robot's own documentation does it.
    #[test]
    fn dingtalk_is_signed_as_its_documentation_says() {
        let url: Url = "https://oapi.dingtalk.com/robot/send?access_token=x".parse().unwrap();
        let time = Timestamp::from_millisecond(1_700_000_000_000).unwrap();
        let signed = dingtalk_url(&url, "SECabc", time);
        assert_eq!(
            signed,
            "https://oapi.dingtalk.com/robot/send?access_token=x&timestamp=1700000000000&sign=jcUpW0QmtKduN03n4JqQ0PBosVjqnM8gU7fIIvsDmCM%3D"
        );
    }

    #[test]
    fn a_robot_that_refuses_is_heard() {
        assert_eq!(robot_agrees(r#"{"errcode":0,"errmsg":"ok"}"#), Ok(()));
        let refused = robot_agrees(r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#);
        assert_eq!(refused, Err("the robot refused: 93000 invalid webhook url".into()));
        assert!(robot_agrees("<html>").is_err());
    }
}
