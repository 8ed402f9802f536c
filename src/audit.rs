//! Where each permit that is out was taken, behind the feature `audit`. Without the feature a registry and its entries
//! are nothing, take no room and cost no time.

#[cfg(feature = "audit")]
mod registry;

#[cfg(feature = "audit")]
pub(crate) use registry::{Entry, Registry};
#[cfg(feature = "audit")]
pub use registry::{Mismatch, Outstanding};

#[cfg(not(feature = "audit"))]
pub(crate) use nothing::{Entry, Registry};

#[cfg(not(feature = "audit"))]
mod nothing {
    use crate::client::Client;
    use crate::limiter::Limiter;
    use crate::permit::Permit;
    use crate::rejected::Rejected;

    #[derive(Debug)]
    pub(crate) struct Registry;

    impl Registry {
        pub(crate) const fn new() -> Self {
            Self
        }
    }

    #[derive(Debug)]
    pub(crate) struct Entry;

    impl Entry {
        pub(crate) const NONE: Self = Self;
    }

    impl Limiter {
        #[inline(always)]
        #[expect(clippy::unused_self, reason = "as with the feature")]
        pub(crate) fn entered(&self, _: Client, answer: Result<Permit, Rejected>) -> Result<Permit, Rejected> {
            answer
        }
    }
}
