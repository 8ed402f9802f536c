//! What a rejection is called in HTTP.

use crate::Rejected;

/// The status code and its phrase: the fault is the client's (429), everybody's (503), or lies in who it is (403).
///
/// [RFC 6585, section 4](https://www.rfc-editor.org/rfc/rfc6585#section-4) and
/// [RFC 9110, section 15](https://www.rfc-editor.org/rfc/rfc9110#section-15).
pub(crate) const fn of(reason: Rejected) -> (u16, &'static str) {
    match reason {
        Rejected::ClientLimit | Rejected::TierLimit => (429, "Too Many Requests"),
        Rejected::TableFull | Rejected::TotalLimit => (503, "Service Unavailable"),
        Rejected::Denied | Rejected::UnknownPeer => (403, "Forbidden"),
    }
}
