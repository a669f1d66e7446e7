//! The Hugging Face hub: connecting to it, and files of data sets from it.

mod file;
#[cfg(test)]
pub(crate) mod served;

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::channel;
use std::time::Duration;

use hf_hub::{HFClient, HFClientSync};

pub(crate) use file::HubFile;

use crate::error::chain;

/// How long the hub may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// The hub's address: `HF_ENDPOINT` where that is set.
pub(crate) fn endpoint() -> String {
    std::env::var("HF_ENDPOINT").ok().filter(|value| !value.is_empty()).unwrap_or_else(|| "https://huggingface.co".into())
}

/// A hub that answers.
pub(crate) struct Hub {
    client: HFClientSync,
}

impl Hub {
    /// The hub at this address, or why it cannot be reached.
    pub(crate) fn connect(endpoint: &str) -> Result<Self, String> {
        reachable(endpoint)?;
        let client = HFClient::builder().endpoint(endpoint).retry_max_attempts(2).build_sync().map_err(|e| chain(&e))?;
        Ok(Self { client })
    }

    /// What `work` brings from the hub, or why there is nothing within `patience`.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce(&HFClientSync) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let (sender, receiver) = channel();
        let client = self.client.clone();
        // On a thread of its own, so that a connection that stalls can be left behind.
        let thread = std::thread::Builder::new().name("stn-hub".into()).spawn(move || sender.send(work(&client)));
        thread.map_err(|e| format!("no thread can be started: {e}"))?;
        receiver.recv_timeout(patience).map_err(|_| format!("no answer within {} s", patience.as_secs()))?
    }
}

/// An early word where the host cannot be connected to: the client itself would wait as long as the system lets it.
fn reachable(endpoint: &str) -> Result<(), String> {
    let through_proxy = ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    if through_proxy.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())) {
        return Ok(());
    }
    let (scheme, rest) = endpoint.split_once("://").ok_or_else(|| format!("HF_ENDPOINT is no URL: {endpoint}"))?;
    let host = rest.split('/').next().unwrap_or(rest);
    let port = if scheme == "http" { 80 } else { 443 };
    let with_port = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) { host.to_owned() } else { format!("{host}:{port}") };
    let failed = |e: std::io::Error| format!("{host} cannot be reached: {e}");
    let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
    for address in with_port.to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_port_is_told_at_once() {
        // Bound and dropped: nobody listens there now.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = reachable(&format!("http://127.0.0.1:{port}")).unwrap_err();
        assert!(error.starts_with(&format!("127.0.0.1:{port} cannot be reached")), "{error}");
        assert!(reachable("huggingface.co").unwrap_err().contains("no URL"));
    }
}
