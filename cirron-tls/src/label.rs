//! The names under which TLS libraries announce secrets: those of the key log format.

/// What a secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// The master secret of TLS 1.2, told with the client's random.
    Master,
    /// TLS 1.3: what a client sends before the server has answered.
    ClientEarly,
    /// TLS 1.3: the client's handshake.
    ClientHandshake,
    /// TLS 1.3: the server's handshake.
    ServerHandshake,
    /// TLS 1.3: what the client sends, until its first key update.
    ClientTraffic,
    /// TLS 1.3: what the server sends, until its first key update.
    ServerTraffic,
}

/// How many there are of TLS 1.3.
pub(crate) const SECRETS_OF_A_SET: usize = 5;

impl Label {
    /// By its name in a key log. `None`: a secret that is not needed (exporters, later generations), or none.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Label> {
        Some(match name {
            b"CLIENT_RANDOM" => Label::Master,
            b"CLIENT_EARLY_TRAFFIC_SECRET" => Label::ClientEarly,
            b"CLIENT_HANDSHAKE_TRAFFIC_SECRET" => Label::ClientHandshake,
            b"SERVER_HANDSHAKE_TRAFFIC_SECRET" => Label::ServerHandshake,
            b"CLIENT_TRAFFIC_SECRET_0" => Label::ClientTraffic,
            b"SERVER_TRAFFIC_SECRET_0" => Label::ServerTraffic,
            _ => return None,
        })
    }

    /// Its place in a set; `None` for a master, which is in no set.
    pub(crate) fn slot(self) -> Option<usize> {
        match self {
            Label::Master => None,
            Label::ClientEarly => Some(0),
            Label::ClientHandshake => Some(1),
            Label::ServerHandshake => Some(2),
            Label::ClientTraffic => Some(3),
            Label::ServerTraffic => Some(4),
        }
    }
}
