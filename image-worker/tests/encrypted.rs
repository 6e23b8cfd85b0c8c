//! Registries over TLS: who is believed, and that nothing makes the client do without.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[allow(dead_code, reason = "the attacks use all of it")]
mod hostile_registry;
mod world;

use hostile_registry::{Answer, Hostile, Image, serve};
use image_worker::pull::Pulled;
use ipc::messages::failure::Failure;
use ipc::messages::pull::{ImageSettings, PullPolicy};
use oci::registry::Credentials;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::sync::Arc;
use world::World;

/// A certificate for these names, and the authority that vouches for it.
fn certificate(names: &[&str]) -> (Arc<ServerConfig>, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a configuration");
    (Arc::new(config), made.cert.pem())
}

async fn pull_with(
    authority: &str,
    url: &str,
    credentials: Option<Credentials>,
) -> Result<Pulled, Failure> {
    let mut settings = ImageSettings::default();
    settings.signing.allow_unsigned = true;
    settings.registries.authorities = authority.as_bytes().to_vec();
    World::with(settings)
        .pull_as(PullPolicy::Always, url, credentials)
        .await
}

#[tokio::test]
async fn a_registry_whose_authority_is_configured_is_believed() {
    let (tls, authority) = certificate(&["127.0.0.1"]);
    let registry = Hostile::start_with(Some(tls), serve(Image::good().answers()));
    let pulled = pull_with(&authority, &registry.image("a/b:v1"), None)
        .await
        .expect("pulled");
    assert_eq!(pulled.object, bpf::COUNTER);
}

#[tokio::test]
async fn others_are_not_and_are_not_asked_in_plain_text_instead() {
    let (tls, authority) = certificate(&["registry.invalid"]);
    let registry = Hostile::start_with(Some(tls), serve(Image::good().answers()));
    for authority in ["", &authority, &certificate(&["127.0.0.1"]).1] {
        let failure = pull_with(authority, &registry.image("a/b:v1"), None)
            .await
            .expect_err("refused");
        assert!(failure.cause.contains("certificate"), "{failure}");
    }
    assert!(registry.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_to_plain_text_is_not_followed() {
    let (tls, authority) = certificate(&["127.0.0.1"]);
    let plain = Hostile::start(serve(Image::good().answers()));
    let to = format!("http://{}/v2/a/b/manifests/v1", plain.address);
    let registry = Hostile::start_with(Some(tls), move |_| Answer::redirect(&to));
    let failure = pull_with(&authority, &registry.image("a/b:v1"), None)
        .await
        .expect_err("refused");
    assert!(
        failure.cause.contains("it would be plain HTTP"),
        "{failure}"
    );
    assert!(plain.seen().is_empty());
}

#[tokio::test]
async fn a_token_service_is_shown_the_credentials_and_the_registry_the_token() {
    let (tls, authority) = certificate(&["127.0.0.1"]);
    let tokens = Hostile::start_with(Some(tls.clone()), |seen| {
        let known = seen.head.contains("Basic dXNlcjpzZWNyZXQ=") || seen.head.starts_with("POST ");
        let body = if known {
            br#"{"token":"t0ken"}"#.to_vec()
        } else {
            b"{}".to_vec()
        };
        Answer::new(200, "application/json", body)
    });
    let open = serve(Image::good().answers());
    let realm = format!(
        "Bearer realm=\"https://{}/token\",service=\"registry\"",
        tokens.address
    );
    let registry = Hostile::start_with(Some(tls), move |seen| {
        if seen.head.contains("Bearer t0ken") {
            return open(seen);
        }
        Answer::new(401, "text/plain", vec![]).header("www-authenticate", &realm)
    });
    let url = registry.image("a/b:v1");
    let basic = Credentials::basic("user", "secret").expect("credentials");
    pull_with(&authority, &url, Some(basic))
        .await
        .expect("pulled");
    let asked = tokens.seen();
    assert!(
        asked[0].path.contains("service=registry")
            && asked[0].path.contains("scope=repository%3Aa%2Fb%3Apull"),
        "{asked:?}"
    );
    assert!(
        registry
            .seen()
            .iter()
            .all(|seen| !seen.head.contains("dXNlcjpzZWNyZXQ="))
    );
    let identity = Credentials::identity("refresh").expect("credentials");
    pull_with(&authority, &url, Some(identity))
        .await
        .expect("pulled");
    let failure = pull_with(&authority, &url, None)
        .await
        .expect_err("refused");
    assert!(failure.cause.contains("without a token"), "{failure}");
}
