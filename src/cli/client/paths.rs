//! Where Seafile's clients and backends find a notification server's parts.

use crate::client::dial::Server;

/// Paths and addresses below the one that clients or backends know.
pub trait Paths {
    /// What clients ask to learn whether there are notifications.
    fn ping_path(&self) -> String;
    /// What clients connect to.
    fn websocket_path(&self) -> &str;
    /// Where events are posted.
    fn events_path(&self) -> String;
    /// The URL of the WebSocket.
    fn websocket_url(&self) -> String;
}

impl Paths for Server {
    fn ping_path(&self) -> String {
        format!("{}/ping", self.prefix())
    }

    fn websocket_path(&self) -> &str {
        match self.prefix() {
            "" => "/",
            prefix => prefix,
        }
    }

    fn events_path(&self) -> String {
        format!("{}/events", self.prefix())
    }

    fn websocket_url(&self) -> String {
        let scheme = if self.tls() { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.authority(), self.websocket_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_below_the_address_as_seafile_does() {
        let server = |url| Server::parse(url).expect("an address");
        let inner = server("http://notification-server:8083/");
        assert_eq!(
            (inner.events_path(), inner.websocket_url()),
            (
                "/events".to_owned(),
                "ws://notification-server:8083/".to_owned()
            )
        );
        let public = server("https://seafile.example.com/notification");
        assert_eq!(
            (public.events_path(), public.websocket_url()),
            (
                "/notification/events".to_owned(),
                "wss://seafile.example.com/notification".to_owned()
            )
        );
        let below = server("https://seafile.example.com").at("/notification/");
        assert_eq!(below.ping_path(), "/notification/ping");
    }
}
