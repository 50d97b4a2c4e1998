//! Logs to standard error, and spans to an OTLP endpoint if one is given.

use anyhow::{Context, Result};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::cli::Telemetry;
use crate::output;

/// What is to be flushed at the end. Without an endpoint there is nothing, and spans cost nothing.
pub struct Guard(Option<SdkTracerProvider>);

impl Guard {
    /// Sends what is left.
    pub fn flush(self) {
        if let Some(Err(error)) = self.0.map(|provider| provider.shutdown()) {
            eprintln!("cox: spans were lost: {error}");
        }
    }
}

/// The address that spans go to, if it is one.
fn endpoint_of(text: &str) -> Result<hyper::Uri> {
    let uri = text.parse::<hyper::Uri>().ok();
    let web = |uri: &hyper::Uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    };
    uri.filter(web).with_context(|| format!("--otlp {text:?} is no URL; give one like http://127.0.0.1:4318/v1/traces"))
}

/// Begins.
///
/// # Errors
/// If the filter is malformed, or the endpoint is no URL.
pub fn start(options: &Telemetry) -> Result<Guard> {
    let mut filter =
        EnvFilter::try_new(&options.log).with_context(|| format!("--log {:?} is no filter; try info", options.log))?;
    if !options.log.contains("async_nats") {
        // What it says of the connection is said by the bus, with whose connection it is.
        filter = filter.add_directive("async_nats=off".parse()?);
    }
    let text =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(output::colours(&std::io::stderr()));
    let lines = if options.log_json { text.json().boxed() } else { text.compact().boxed() };
    let registry = tracing_subscriber::registry().with(lines.with_filter(filter));
    let Some(endpoint) = &options.otlp else {
        registry.init();
        return Ok(Guard(None));
    };
    endpoint_of(endpoint)?;
    // The exporter's HTTP client asks for the process's TLS provider; one that is installed already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .build()
        .with_context(|| format!("--otlp {endpoint:?} cannot be used"))?;
    let resource = opentelemetry_sdk::Resource::builder().with_service_name("cox").build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("cox"))
        .with_filter(EnvFilter::new("info,h2=off,hyper=off,ractor=off"));
    registry.with(spans).init();
    Ok(Guard(Some(provider)))
}

#[cfg(test)]
mod tests {
    use super::endpoint_of;

    #[test]
    fn an_endpoint_is_a_url_of_the_web() {
        for good in ["http://127.0.0.1:4318/v1/traces", "https://otel.example.com/v1/traces", "http://[::1]:4318"] {
            assert!(endpoint_of(good).is_ok(), "{good}");
        }
        for bad in ["nonsense", "", "127.0.0.1:4318", "grpc://127.0.0.1:4317", "http://", "http:///v1/traces", "a b"] {
            let said = endpoint_of(bad).unwrap_err().to_string();
            assert_eq!(said, format!("--otlp {bad:?} is no URL; give one like http://127.0.0.1:4318/v1/traces"));
        }
    }
}
